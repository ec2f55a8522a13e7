/** Archives of images that are not what they should be: each is refused by a sentence that names what. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errorCode, errorMessage } from '@swarmd/base';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { diffIdOf, imagesOf } from '../src/image/archive-load.ts';

const PLATFORM = { os: 'linux', architecture: 'amd64' };
const CONFIG = JSON.stringify({
  ...PLATFORM,
  rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
});

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'archive-load-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function filesOf(contents: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(
    Object.entries(contents).map(([name, text], index) => {
      const path = join(folder, String(index));
      writeFileSync(path, text);
      return [name, path];
    }),
  );
}

test.each<[what: string, files: Record<string, string>, says: RegExp]>([
  ['nothing of an image', { readme: '' }, /neither manifest.json nor index.json/],
  ['a list that is not JSON', { 'manifest.json': '[{' }, /manifest.json is not JSON/],
  ['a list of something else', { 'manifest.json': '[{"Config":3}]' }, /manifest.json: .*Config/s],
  [
    'no configuration',
    { 'manifest.json': '[{"Config":"c","RepoTags":null,"Layers":[]}]' },
    /it has no c$/,
  ],
  [
    'fewer layers than its configuration has',
    { 'manifest.json': '[{"Config":"c","Layers":[]}]', c: CONFIG },
    /c has another number of layers/,
  ],
  [
    'a layer that is missing',
    { 'manifest.json': '[{"Config":"c","Layers":["../../etc/passwd"]}]', c: CONFIG },
    /it has no ..\/..\/etc\/passwd/,
  ],
  ['an index that is not JSON', { 'index.json': '{' }, /index.json is not JSON/],
  ['an index that is none', { 'index.json': '{}' }, /index.json/],
  ['an index of nothing', { 'index.json': '{"manifests":[]}' }, /lists no image/],
  ['a list of nothing', { 'manifest.json': '[]' }, /lists no image/],
])('%s', async (_what, contents, says) => {
  const error = await imagesOf(filesOf(contents), PLATFORM).then(
    (images) => images,
    (error: unknown) => error,
  );
  expect(errorCode(error)).toBe('data-loss');
  expect(errorMessage(error)).toMatch(says);
});

test('a file that begins like gzip and goes on as something else', async () => {
  const path = join(folder, 'layer');
  writeFileSync(path, Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  await expect(diffIdOf(path)).rejects.toSatisfy((error) => errorCode(error) === 'data-loss');
});
