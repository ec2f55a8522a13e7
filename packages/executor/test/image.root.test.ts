/** Pulling from a registry over HTTP, and what becomes of hostile ones and of hostile layers. */
import { lstat, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Scope, silentLogger } from '@swarmd/base';
import { run, systemClock, systemRandom } from '@swarmd/base/system';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';

import { LayerFetcher } from '../src/image/layer-fetcher.ts';
import { Puller } from '../src/image/puller.ts';
import { parseReference } from '../src/image/reference.ts';
import { ImageStore } from '../src/image/store.ts';
import { Unpacker } from '../src/unpack/unpacker.ts';
import { digestOf, pack, TestRegistry, type LayerPacking } from './fixtures/registry.ts';
import { directory, file, hardlink, symlink, tarOf } from './fixtures/tar-writer.ts';

const ENTRY = fileURLToPath(new URL('../src/unpack/main.ts', import.meta.url));
const INDEX = 'application/vnd.oci.image.index.v1+json';
const signal = (): AbortSignal => AbortSignal.timeout(25_000);

describe('images', () => {
  let folder: string;
  let registry: TestRegistry;
  let scope: Scope;
  let store: ImageStore;
  let puller: Puller;
  const unpacker = new Unpacker(ENTRY, systemClock);

  const open = async (bootId = 'boot'): Promise<void> => {
    scope = new Scope((_, error) => {
      throw error;
    });
    store = await ImageStore.open({
      stateDir: join(folder, 'state'),
      bootId,
      clock: systemClock,
      logger: silentLogger,
      scope,
    });
    const common = {
      store,
      unpacker,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    };
    puller = new Puller({
      ...common,
      layers: new LayerFetcher(common),
      registries: {},
      platform: { os: 'linux', architecture: 'amd64' },
    });
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-image-'));
    registry = await TestRegistry.start();
    await open();
  });
  afterEach(async () => {
    await scope[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  afterAll(() => unpacker[Symbol.dispose]());

  const name = (reference: string): string => `${registry.host}/${reference}`;
  const pull = (reference: string): Promise<void> => puller.pull(name(reference), signal());
  /** Folders of the image's layers, lowest first. */
  const layersOf = async (reference: string): Promise<readonly string[]> => {
    const image = await store.image(name(reference));
    return (image?.layers ?? []).map((layer) => join(store.layersDir, layer));
  };
  const nothingLeft = async (): Promise<void> => expect(await readdir(store.layersDir)).toEqual([]);

  it.each<LayerPacking>(['plain', 'gzip', 'zstd'])(
    'unpacks %s layers with owner, mode, links and whiteouts',
    async (packing) => {
      const lower = tarOf([directory('d'), file('d/old', 'old'), file('gone', 'x')]);
      const upper = tarOf([
        directory('d', { mode: 0o750, uid: 12, gid: 34 }),
        file('d/.wh..wh..opq', ''),
        { name: 'd/suid', data: 'program', mode: 0o4755, uid: 5_000_000 },
        hardlink('d/hard', 'd/suid'),
        symlink('link', '/etc/passwd'),
        file('.wh.gone', ''),
        file(`${'long/'.repeat(60)}name`, 'deep'),
        { name: 'attr', data: '', pax: { 'SCHILY.xattr.user.note': 'kept' } },
      ]);
      registry.putImage('app:1', [lower, upper], { packing, config: { Cmd: ['/x'] } });
      await pull('app:1');
      const [bottom = '', top = ''] = await layersOf('app:1');
      expect(await readFile(join(bottom, 'd/old'), 'utf8')).toBe('old');
      expect(await stat(join(top, 'd'))).toMatchObject({ mode: 0o40750, uid: 12, gid: 34 });
      const suid = await stat(join(top, 'd/suid'));
      expect(suid).toMatchObject({ mode: 0o104755, uid: 5_000_000, nlink: 2 });
      expect((await stat(join(top, 'd/hard'))).ino).toBe(suid.ino);
      const whiteout = await lstat(join(top, 'gone'));
      expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
      expect(await readFile(join(top, 'long/'.repeat(60), 'name'), 'utf8')).toBe('deep');
      const { stdout } = await run('tar', [
        '-C',
        top,
        '--xattrs',
        '--xattrs-include=*',
        '-cf',
        '-',
        'd',
        'attr',
      ]);
      expect(stdout).toContain('trusted.overlay.opaque=y');
      expect(stdout).toContain('user.note=kept');
    },
  );

  it('pulls by digest, and then never asks again', async () => {
    const digest = registry.putImage('app:1', [tarOf([file('a', '1')])]);
    await pull(`app@${digest}`);
    const { length } = registry.requests;
    await pull(`app@${digest}`);
    expect(registry.requests.length).toBe(length);
    expect((await layersOf(`app@${digest}`)).length).toBe(1);
  });

  it('chooses its platform from an index', async () => {
    const digest = registry.putImage('app:amd', [tarOf([file('a', 'amd')])]);
    const entry = (architecture: string, digest: string) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: 1,
      platform: { os: 'linux', architecture },
    });
    registry.putDocument('app:multi', INDEX, {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [entry('s390x', digestOf(Buffer.from('x'))), entry('amd64', digest)],
    });
    registry.putDocument('app:other', INDEX, {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [entry('s390x', digest)],
    });
    await pull('app:multi');
    expect((await layersOf('app:multi')).length).toBe(1);
    await expect(pull('app:other')).rejects.toThrow(
      /no image for linux\/amd64, only for linux\/s390x/,
    );
  });

  it('downloads a layer once however many want it', async () => {
    const shared = tarOf([file('shared', 'x')]);
    registry.putImage('one:1', [shared]);
    registry.putImage('two:1', [shared, tarOf([file('more', 'y')])]);
    await Promise.all([pull('one:1'), pull('one:1'), pull('two:1'), pull('two:1')]);
    expect(
      registry.count(`GET /v2/one/blobs/${digestOf(pack(shared, 'gzip'))}`) +
        registry.count(`GET /v2/two/blobs/${digestOf(pack(shared, 'gzip'))}`),
    ).toBe(1);
    expect(registry.count('GET /v2/one/manifests/1')).toBe(1);
  });

  it('notices that a tag has moved, and goes on with what it has when nobody can tell', async () => {
    registry.putImage('app:1', [tarOf([file('a', 'old')])]);
    await pull('app:1');
    registry.putImage('app:1', [tarOf([file('a', 'new')])]);
    await scope[Symbol.asyncDispose]();
    await open();
    await pull('app:1');
    expect(await readFile(join((await layersOf('app:1'))[0] ?? '', 'a'), 'utf8')).toBe('new');
    await scope[Symbol.asyncDispose]();
    await open();
    registry.fault = (_, response) => Boolean(response.writeHead(503).end());
    await pull('app:1');
  });

  it('knows what it has by a tag by its digest, too, without its registry', async () => {
    const digest = registry.putImage('app:1', [tarOf([file('a', '1')])]);
    expect(await puller.digestOf(parseReference(name('app:1')), signal())).toBe(digest);
    expect(registry.count('/blobs/')).toBe(0);
    await pull('app:1');
    registry.fault = (_, response) => Boolean(response.writeHead(503).end());
    await puller.pull(`${name('app:1')}@${digest}`, signal());
    await expect(puller.digestOf(parseReference(name('app:1')), signal())).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('keeps images over its own death, but not layers the disk may not have over a boot', async () => {
    registry.putImage('app:1', [tarOf([file('a', '1')])]);
    await pull('app:1');
    const path = join(folder, 'state/images/index.json');
    await scope[Symbol.asyncDispose]();
    const index = JSON.parse(await readFile(path, 'utf8')) as { layers: Record<string, object> };
    const unsynced = Object.entries(index.layers).map(([id, layer]) => [
      id,
      { ...layer, unsyncedIn: 'boot' },
    ]);
    await writeFile(path, JSON.stringify({ ...index, layers: Object.fromEntries(unsynced) }));
    await open('boot');
    expect((await layersOf('app:1')).length).toBe(1);
    await scope[Symbol.asyncDispose]();
    await writeFile(path, JSON.stringify({ ...index, layers: Object.fromEntries(unsynced) }));
    await open('another boot');
    await expect(store.image(name('app:1'))).rejects.toThrow('pull it again');
    await nothingLeft();
    await pull('app:1');
    expect((await layersOf('app:1')).length).toBe(1);
  });

  it('gets a token where the registry asks for one', async () => {
    registry.putImage('private/app:1', [tarOf([file('a', '1')])]);
    registry.fault = (request, response) => {
      if (request.url?.startsWith('/token')) {
        response.end('{"token":"T0K3N"}');
        return true;
      }
      if (request.headers.authorization === 'Bearer T0K3N') return false;
      const realm = `http://${registry.host}/token`;
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="test"` })
        .end();
      return true;
    };
    await pull('private/app:1');
    expect((await layersOf('private/app:1')).length).toBe(1);
    expect(registry.count('scope=repository%3Aprivate%2Fapp%3Apull')).toBe(1);
  });

  it('tries again what failed in passing', async () => {
    registry.putImage('app:1', [tarOf([file('a', 'x'.repeat(100_000))])]);
    let failures = 3;
    registry.fault = (request, response) => {
      if (failures === 0) return false;
      failures -= 1;
      if (failures === 1) request.socket.destroy();
      else response.writeHead(failures === 2 ? 503 : 429).end();
      return true;
    };
    await pull('app:1');
    expect((await layersOf('app:1')).length).toBe(1);
  });

  it('starts another unpacking process when one is killed', async () => {
    registry.putImage('app:1', [tarOf([file('a', 'x')])], { packing: 'plain' });
    let kills = 1;
    registry.fault = (request, response) => {
      if (kills === 0 || request.url?.includes(digestOf(tarOf([file('a', 'x')]))) !== true)
        return false;
      kills -= 1;
      void ownUnpackers().then((pids) => {
        for (const pid of pids) process.kill(pid, 'SIGKILL');
        response.destroy();
      });
      return true;
    };
    await pull('app:1');
    expect({ kills, layers: (await layersOf('app:1')).length }).toEqual({ kills: 0, layers: 1 });
  });

  const LAYER = tarOf([file('a', 'x'.repeat(50_000))]);
  const blobFault =
    (answer: (bytes: Buffer) => Buffer): TestRegistry['fault'] =>
    (request, response) => {
      if (!request.url?.includes(digestOf(LAYER))) return false;
      response.end(answer(LAYER));
      return true;
    };
  it.each<[string, TestRegistry['fault'], { code: string; message: RegExp }]>([
    [
      'one wrong bit in a file',
      blobFault((bytes) => {
        const wrong = Buffer.from(bytes);
        wrong.writeUInt8(wrong.readUInt8(600) ^ 1, 600);
        return wrong;
      }),
      { code: 'data-loss', message: /wrong bytes for layer/ },
    ],
    [
      'more bytes than promised',
      blobFault((bytes) => Buffer.concat([bytes, bytes])),
      { code: 'data-loss', message: /has more bytes instead of/ },
    ],
    [
      'an end that comes early',
      blobFault((bytes) => bytes.subarray(0, 20_000)),
      { code: 'unavailable', message: /ended a layer after 20000 of/ },
    ],
    [
      'a refusal',
      (request, response) =>
        request.url?.includes('/blobs/') === true && Boolean(response.writeHead(403).end()),
      { code: 'permission-denied', message: /403/ },
    ],
    [
      'a manifest without end',
      (request, response) => {
        if (!request.url?.includes('/manifests/')) return false;
        const flood = (): void =>
          void (response.destroyed || response.write(Buffer.alloc(1 << 20), flood));
        flood();
        return true;
      },
      { code: 'resource-exhausted', message: /sent more than/ },
    ],
    [
      'a manifest that is not JSON',
      (request, response) =>
        request.url?.includes('/manifests/') === true && Boolean(response.end('<html>')),
      { code: 'data-loss', message: /is not JSON/ },
    ],
  ])('refuses %s, and leaves nothing', async (_, fault, wanted) => {
    registry.putImage('app:1', [LAYER], { packing: 'plain' });
    registry.fault = fault;
    await expect(pull('app:1')).rejects.toMatchObject({
      code: wanted.code,
      message: expect.stringMatching(wanted.message),
    });
    await nothingLeft();
  });

  it('refuses a layer that unpacks to something else than the configuration says', async () => {
    const bad = registry.putBlob(pack(tarOf([file('a', 'evil')]), 'gzip'));
    const size = pack(tarOf([file('a', 'evil')]), 'gzip').length;
    const layers = [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: bad, size },
    ];
    registry.putImage('app:1', [tarOf([file('a', 'good')])], { manifestPatch: { layers } });
    await expect(pull('app:1')).rejects.toMatchObject({
      code: 'data-loss',
      message: expect.stringContaining('unpacks to'),
    });
    await nothingLeft();
  });

  it('says so when nobody listens', async () => {
    const { host } = registry;
    await registry[Symbol.asyncDispose]();
    await expect(puller.pull(`${host}/app:1`, signal())).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/cannot be reached: .*ECONNREFUSED/),
    });
    registry = await TestRegistry.start();
  });

  it('ends the download with the last who wanted it', async () => {
    registry.putImage('app:1', [LAYER], { packing: 'plain' });
    const controller = new AbortController();
    const closed = Promise.withResolvers<void>();
    registry.fault = (request, response) => {
      if (!request.url?.includes(digestOf(LAYER))) return false;
      response.write(LAYER.subarray(0, 10_000));
      request.socket.once('close', () => closed.resolve());
      controller.abort(new Error('not wanted any more'));
      return true;
    };
    await expect(puller.pull(name('app:1'), controller.signal)).rejects.toThrow(
      'not wanted any more',
    );
    await closed.promise;
    registry.fault = () => false;
    await pull('app:1');
    expect((await layersOf('app:1')).length).toBe(1);
  });
});

/** Others on this machine may run the same program: only our own children are meant. */
async function ownUnpackers(): Promise<readonly number[]> {
  const { stdout } = await run('pgrep', ['-P', String(process.pid), '-f', ENTRY]);
  return stdout.split('\n').filter(Boolean).map(Number);
}
