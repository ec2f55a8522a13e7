/** Images that go by themselves, on real disks, and those that must not. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger, type Logger } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { CleanUpPolicy } from '../src/image/clean-up.ts';
import { Housekeeper } from '../src/image/housekeeper.ts';
import { ImageService } from '../src/image/image-service.ts';
import { ImageTransfer } from '../src/image/image-transfer.ts';
import { ImageMachine } from './fixtures/image-machine.ts';
import { TestRegistry } from './fixtures/registry.ts';
import { file, tarOf } from './fixtures/tar-writer.ts';

const signal = (): AbortSignal => AbortSignal.timeout(25_000);
const NEVER: CleanUpPolicy = { unusedForMs: 0, highPercent: 100, lowPercent: 100 };
const AT_ONCE: CleanUpPolicy = { ...NEVER, unusedForMs: 1 };

describe('images that go by themselves', () => {
  let registry: TestRegistry;
  let folder: string;
  let machine: ImageMachine;
  let used: Set<string>;
  let images: ImageService;
  let said: string[];
  beforeEach(async () => {
    registry = await TestRegistry.start();
    for (const name of ['a', 'b']) {
      registry.putImage(`${name}:1`, [tarOf([file(name, name.repeat(300_000))])], {
        packing: 'plain',
      });
    }
    folder = await mkdtemp(join(tmpdir(), 'swarmd-small-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]);
    machine = await ImageMachine.open({}, folder);
    used = new Set();
    said = [];
    const { store, puller, layers } = machine;
    const platform = { os: 'linux', architecture: 'amd64' };
    const clock = systemClock;
    images = new ImageService({
      store,
      clock,
      puller,
      transfer: new ImageTransfer({ store, layers, registries: {}, platform, clock }),
      used: () => ({ references: used, layers: new Set() }),
    });
  });
  afterEach(async () => {
    await machine[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await run('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  });

  const named = (name: string): string => `${registry.host}/${name}:1`;
  const pull = (name: string): Promise<void> => machine.puller.pull(named(name), signal());
  const kept = (): string[] => images.listNow().map(({ reference }) => reference);
  function keeper(policy: CleanUpPolicy): Housekeeper {
    const logger: Logger = {
      ...silentLogger,
      info: (fields: object, text: string) => said.push(`${text} ${JSON.stringify(fields)}`),
    };
    const { store } = machine;
    return new Housekeeper({ store, images, policy, clock: systemClock, logger });
  }

  it('says why, and spares what containers are made of or will be', async () => {
    await pull('a');
    await pull('b');
    used.add(named('a'));
    const held = images.hold(named('b'));
    await keeper(AT_ONCE).round();
    expect(kept()).toEqual([named('a'), named('b')]);
    await expect(images.remove(named('b'))).rejects.toMatchObject({ code: 'failed-precondition' });
    held[Symbol.dispose]();
    await keeper(AT_ONCE).round();
    expect(kept()).toEqual([named('a')]);
    expect(said[0]).toContain(named('b'));
    expect(said[0]).toContain('unused for 0 hours');
    expect((await readdir(machine.store.layersDir)).length).toBe(1);
    expect((await readdir(join(folder, 'images/blobs/sha256'))).length).toBe(3);
  });

  it('gives blobs of layers back first, then images, when the disk is short', async () => {
    await pull('a');
    await pull('b');
    await keeper({ ...NEVER, highPercent: 50, lowPercent: 45 }).round();
    expect(kept()).toEqual([named('a'), named('b')]);
    expect((await readdir(join(folder, 'images/blobs/sha256'))).length).toBe(4);
    expect(said).toEqual([expect.stringMatching(/removed blobs .*% full, more than 50 %/)]);
    await expect(async () => {
      for await (const _piece of images.save([named('a')]));
    }).rejects.toThrow('pull it again');
    used.add(named('a'));
    await keeper({ ...NEVER, highPercent: 20, lowPercent: 10 }).round();
    expect(kept()).toEqual([named('a')]);
  });

  it('never takes an image from a task that is starting', async () => {
    const stop = new AbortController();
    const cleaning = (async () => {
      while (!stop.signal.aborted) await keeper(AT_ONCE).round();
    })();
    for (let round = 0; round < 20; round += 1) {
      using _image = images.hold(named('a'));
      await pull('a');
      // As the executor does when it makes the container.
      expect(await machine.store.image(named('a'))).toBeDefined();
    }
    stop.abort();
    await cleaning;
  });
});
