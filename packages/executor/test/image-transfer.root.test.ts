/** Images out and in: pushed, saved, loaded, imported; judged by skopeo and umoci. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { run, systemClock } from '@swarmd/base/system';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ImageTransfer } from '../src/image/image-transfer.ts';
import { ANN, DebianRegistry } from './fixtures/debian-registry.ts';
import { ImageMachine } from './fixtures/image-machine.ts';
import { TestRegistry, type LayerPacking } from './fixtures/registry.ts';
import { directory, file, symlink, tarOf } from './fixtures/tar-writer.ts';

const signal = (): AbortSignal => AbortSignal.timeout(25_000);
const LAYERS = [
  tarOf([directory('etc'), file('etc/name', 'lower'), file('gone', 'x')]),
  tarOf([file('etc/name', 'upper'), file('.wh.gone', ''), symlink('link', 'etc/name')]),
];

function transferOf(machine: ImageMachine): ImageTransfer {
  const platform = { os: 'linux', architecture: 'amd64' };
  const { store, layers } = machine;
  return new ImageTransfer({ store, layers, registries: {}, platform, clock: systemClock });
}

describe('images on their way', () => {
  let folder: string;
  let source: TestRegistry;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-transfer-'));
    source = await TestRegistry.start();
    for (const packing of ['plain', 'gzip', 'zstd'] as const) {
      const config = { Cmd: ['/x'], Env: [`PACKING=${packing}`] };
      source.putImage(`${packing}:1`, LAYERS, { packing, config });
    }
  });
  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function saved(machine: ImageMachine, name: string): Promise<string> {
    const path = join(folder, 'saved.tar');
    await pipeline(transferOf(machine).save([name]), createWriteStream(path));
    return path;
  }

  it.each<LayerPacking>(['plain', 'gzip', 'zstd'])(
    'saves %s layers, and loads them as the same image',
    async (packing) => {
      await using machine = await ImageMachine.open();
      const name = `${source.host}/${packing}:1`;
      await machine.puller.pull(name, signal());
      const archive = await saved(machine, name);
      await using other = await ImageMachine.open();
      expect(await transferOf(other).load(createReadStream(archive), signal())).toEqual([name]);
      const [before, after] = [await machine.store.image(name), await other.store.image(name)];
      expect(after?.target).toBe(before?.target);
      expect(after?.config).toEqual(before?.config);
      const [, top = ''] = await other.layersOf(name);
      expect(await readFile(join(top, 'etc/name'), 'utf8')).toBe('upper');
      // What was loaded can be saved again.
      expect((await readFile(await saved(other, name))).equals(await readFile(archive))).toBe(true);
    },
  );

  it('saves what skopeo and umoci read, and loads what skopeo writes', async () => {
    await using machine = await ImageMachine.open();
    const name = `${source.host}/gzip:1`;
    await machine.puller.pull(name, signal());
    const archive = await saved(machine, name);
    const skopeo = (...words: string[]) =>
      run('skopeo', ['--insecure-policy', 'copy', '-q', ...words]);
    const layout = join(folder, 'layout');
    await skopeo(`oci-archive:${archive}`, `oci:${layout}:1`);
    await run('umoci', ['unpack', '--image', `${layout}:1`, join(folder, 'bundle')]);
    expect(await readFile(join(folder, 'bundle/rootfs/etc/name'), 'utf8')).toBe('upper');
    const docker = join(folder, 'docker.tar');
    await skopeo(`docker-archive:${archive}`, `docker-archive:${docker}:team/app:2`);
    const oci = join(folder, 'oci.tar');
    await skopeo(`docker-archive:${archive}`, `oci-archive:${oci}:team/app:3`);
    await using other = await ImageMachine.open();
    const transfer = transferOf(other);
    for (const [path, tag] of [
      [docker, '2'],
      [oci, '3'],
    ] as const) {
      const loaded = `docker.io/team/app:${tag}`;
      expect(await transfer.load(createReadStream(path), signal())).toEqual([loaded]);
      const image = await other.store.image(loaded);
      expect(image?.config).toEqual((await machine.store.image(name))?.config);
    }
  });

  it('pushes to a registry that wants to know who asks, with the digest it was pulled with', async () => {
    await using registry = await DebianRegistry.start({ guard: 'token' });
    await using machine = await ImageMachine.open();
    const name = `${source.host}/gzip:1`;
    await machine.puller.pull(name, signal());
    const image = machine.store.entries().find((entry) => entry.reference === name)?.image;
    const target = `${registry.host}/team/app:1`;
    if (image !== undefined) await machine.store.commit(target, image);
    const transfer = transferOf(machine);
    const push = async (auth = {}): Promise<string[]> => {
      const seen: string[] = [];
      for await (const layers of transfer.push(target, signal(), { auth })) {
        seen.push(layers.map(({ state }) => state).join(' '));
      }
      return seen;
    };
    await expect(push()).rejects.toMatchObject({ code: 'permission-denied' });
    const auth = { [registry.host]: ANN };
    expect((await push(auth)).at(-1)).toBe('present present');
    const before = registry.tokens.length;
    await push(auth);
    expect(registry.tokens.slice(before).join()).not.toContain('uploads');
    await using other = await ImageMachine.open();
    await other.puller.pull(target, signal(), { auth });
    expect((await other.store.image(target))?.target).toBe(image?.target);
  });

  it('imports a root file system, and refuses what is no archive of images', async () => {
    await using machine = await ImageMachine.open();
    const transfer = transferOf(machine);
    const pieces = async function* (data: Buffer): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < data.length; at += 700) yield data.subarray(at, at + 700);
    };
    const rootfs = tarOf([directory('bin'), file('bin/sh', 'shell', 0o755)]);
    const options = { reference: 'mine:1', config: { Cmd: ['/bin/sh'] } };
    const name = await transfer.import(pieces(rootfs), options, signal());
    expect(name).toBe('docker.io/library/mine:1');
    expect((await machine.store.image(name))?.config.command).toEqual(['/bin/sh']);
    const refused = (data: Buffer) => transfer.load(pieces(data), signal());
    await expect(refused(rootfs)).rejects.toThrow('image import');
    await expect(refused(Buffer.alloc(4_096, 'x'))).rejects.toMatchObject({ code: 'data-loss' });
    const lost = JSON.stringify([{ Config: '../../etc/passwd', Layers: [] }]);
    await expect(refused(tarOf([file('manifest.json', lost)]))).rejects.toThrow(
      'it has no ../../etc/passwd',
    );
  });
});
