/** Volumes that somebody else has spoilt; what they do in containers is in container-options.root.test.ts. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { PLUGIN_TIMEOUT_MS } from '../src/limits.ts';
import { VolumeStore } from '../src/volume/volume-store.ts';

describe('volumes', () => {
  let folder: string;
  let clock: ManualClock;
  let volumes: VolumeStore;
  const inUse = new Set<string>();
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-volumes-'));
    clock = new ManualClock();
    volumes = new VolumeStore({
      stateDir: folder,
      pluginsDir: folder,
      clock,
      logger: silentLogger,
      used: () => inUse,
    });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const spoil = async (name: string, text: string): Promise<string> => {
    const place = join(folder, 'volumes', name);
    await mkdir(join(place, '_data'), { recursive: true });
    await writeFile(join(place, '_data', 'kept'), 'kept');
    await writeFile(join(place, 'volume.json'), text);
    return place;
  };
  const request = (name: string) => ({ name, driver: '', options: {}, labels: {} });

  it.each([
    ['cut short', '{"driver":"local","opt'],
    ['empty', ''],
    ['of something else', '{"driver":7}'],
    ['without a driver', '{"options":{"type":"nfs"}}'],
  ])('whose file is %s are told of and left alone, the others go on', async (_, text) => {
    const place = await spoil('bad', text);
    await volumes.create(request('good'));
    await volumes.recover();
    const use = { user: 'c', content: '/dev/null' };
    for (const asked of [
      volumes.create(request('bad')),
      volumes.acquire(request('bad'), use),
      volumes.release(['bad'], 'c'),
      volumes.remove('bad'),
    ]) {
      await expect(asked).rejects.toMatchObject({
        code: 'data-loss',
        message: expect.stringContaining(join(place, 'volume.json')) as string,
      });
    }
    expect(await readFile(join(place, '_data', 'kept'), 'utf8')).toBe('kept');
    expect((await volumes.list()).map(({ name, driver }) => [name, driver])).toEqual([
      ['bad', 'damaged'],
      ['good', 'local'],
    ]);
    await volumes.remove('good');
  });

  it('that are empty are filled, unless they are in use', async () => {
    const content = join(folder, 'image');
    await mkdir(content);
    await writeFile(join(content, 'seed'), 'seed');
    const acquire = (from: string): Promise<string> =>
      volumes.acquire(request('v'), { user: 'c', content: from });
    const data = await acquire('/dev/null');
    inUse.add('v');
    await acquire(content);
    expect(await readdir(data)).toEqual([]);
    inUse.delete('v');
    await acquire(content);
    expect(await readdir(data)).toEqual(['seed']);
    await rm(join(content, 'seed'));
    await acquire(content);
    expect(await readdir(data)).toEqual(['seed']);
  });

  it('of earlier versions are what they were', async () => {
    await spoil('old', '{"driver":"local"}');
    await volumes.recover();
    expect(await volumes.list()).toMatchObject([{ name: 'old', driver: 'local', labels: {} }]);
  });

  describe('of a plugin', () => {
    let plugin: Server;
    afterEach(() => {
      plugin.closeAllConnections();
      return new Promise((resolve) => void plugin.close(resolve));
    });
    const listen = (answer: Parameters<typeof createServer>[1]): Promise<void> => {
      plugin = createServer(answer as never);
      return new Promise((resolve) => plugin.listen(join(folder, 'slow.sock'), resolve));
    };
    const create = (): Promise<unknown> => volumes.create({ ...request('v'), driver: 'slow' });

    it('that answers byte by byte have a deadline for the whole answer', async () => {
      const asked = Promise.withResolvers<void>();
      await listen((_, response) => {
        response.write('{');
        asked.resolve();
      });
      const outcome = create().catch((error: unknown) => error);
      await asked.promise;
      clock.advance(PLUGIN_TIMEOUT_MS);
      expect(await outcome).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining(`took longer than ${PLUGIN_TIMEOUT_MS} ms`) as string,
      });
      expect(await volumes.list()).toEqual([]);
    });

    it('that is for something else makes no volumes', async () => {
      await listen((_, response) => response.end('{"Implements":["NetworkDriver"]}'));
      await expect(create()).rejects.toThrow('it is no volume driver, but NetworkDriver');
      expect(await volumes.list()).toEqual([]);
    });

    it('that answers without end is not listened to', async () => {
      await listen((_, response) => {
        response.write('x'.repeat(2 ** 21));
      });
      await expect(create()).rejects.toThrow('an answer of more than');
    });
  });
});
