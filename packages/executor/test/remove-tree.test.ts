import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { removeTree } from '../src/files/remove-tree.ts';

describe('removing a folder', () => {
  let outer: string;
  beforeEach(async () => {
    outer = await mkdtemp(join(tmpdir(), 'swarmd-remove-'));
  });
  afterEach(() => rm(outer, { recursive: true, force: true }));

  it('takes all that is in it, and nothing that links lead to', async () => {
    await mkdir(join(outer, 'kept'));
    await writeFile(join(outer, 'kept/file'), '');
    const tree = join(outer, 'tree');
    await mkdir(join(tree, 'a/b/c'), { recursive: true });
    await mkdir(join(tree, 'empty'));
    const files = Array.from({ length: 40 }, (_, index) => join(tree, `a/b/file-${index}`));
    await Promise.all(files.map((path) => writeFile(path, 'x')));
    await symlink(join(outer, 'kept'), join(tree, 'a/link'));
    await symlink('nowhere', join(tree, 'dangling'));
    await removeTree(tree);
    expect(await readdir(outer)).toEqual(['kept']);
    expect(await readdir(join(outer, 'kept'))).toEqual(['file']);
  });

  it('is done when it is not there, and refuses what is no folder', async () => {
    await removeTree(join(outer, 'none'));
    await writeFile(join(outer, 'file'), '');
    await expect(removeTree(join(outer, 'file'))).rejects.toThrow('ENOTDIR');
  });
});
