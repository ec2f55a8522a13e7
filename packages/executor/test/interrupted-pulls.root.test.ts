/** Downloads that are cut off, crawl, are sent elsewhere, or find no room. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { systemRandom, run } from '@swarmd/base/system';
import { ManualClock } from '@swarmd/base/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fetchBlob } from '../src/unpack/fetch-blob.ts';
import { ImageMachine } from './fixtures/image-machine.ts';
import { digestOf, TestRegistry } from './fixtures/registry.ts';
import { file, tarOf } from './fixtures/tar-writer.ts';

const signal = (): AbortSignal => AbortSignal.timeout(25_000);
const noise = (bytes: number): Buffer =>
  Buffer.from(
    Uint32Array.from({ length: bytes / 4 }, (_, i) => Math.imul(i, 2_654_435_761)).buffer,
  );
const LAYER = tarOf([file('data', noise(4 << 20))]);
const BLOB = digestOf(LAYER);

describe('a download that is cut off', () => {
  let registry: TestRegistry;
  let name: string;
  const ranges: string[] = [];
  beforeEach(async () => {
    ranges.length = 0;
    registry = await TestRegistry.start();
    registry.putImage('app:1', [LAYER], { packing: 'plain' });
    name = `${registry.host}/app:1`;
  });
  afterEach(() => registry[Symbol.asyncDispose]());

  /** Answers for the layer as long as `answer` does, from the offset that was asked for. */
  function layerFault(answer: (response: ServerResponse, from: number) => boolean): void {
    registry.fault = (request, response) => {
      if (!request.url?.includes(BLOB)) return false;
      const { range = '' } = request.headers;
      ranges.push(range);
      const from = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
      return answer(response, from);
    };
  }

  const part = (response: ServerResponse, from: number, bytes: number): void => {
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': LAYER.length - from,
      ...(from === 0
        ? {}
        : { 'content-range': `bytes ${from}-${LAYER.length - 1}/${LAYER.length}` }),
    });
    response.write(LAYER.subarray(from, from + bytes), () => response.socket?.destroy());
  };

  it('goes on where the connection was lost, each time', async () => {
    await using machine = await ImageMachine.open();
    layerFault((response, from) => {
      part(response, from, 1 << 20);
      return true;
    });
    await machine.puller.pull(name, signal());
    expect(ranges.length).toBeGreaterThanOrEqual(4);
    const asked = ranges.map((range) => Number(/\d+/.exec(range)?.[0] ?? 0));
    expect(asked).toEqual(asked.toSorted((a, b) => a - b));
    const [layer = ''] = await machine.layersOf(name);
    expect((await readFile(join(layer, 'data'))).equals(noise(4 << 20))).toBe(true);
    expect(await readdir(join(machine.stateDir, 'images/partial'))).toEqual([]);
  });

  it('goes on after a death of the daemon', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-image-'));
    try {
      const stalled = Promise.withResolvers<void>();
      layerFault((response, from) => {
        if (ranges.length > 1) return false;
        response.writeHead(200, { 'content-length': LAYER.length });
        response.write(LAYER.subarray(from, 3 << 20), () => stalled.resolve());
        return true;
      });
      const first = await ImageMachine.open({}, folder);
      const controller = new AbortController();
      const pull = first.puller.pull(name, controller.signal).catch(() => undefined);
      await stalled.promise;
      const partial = join(folder, 'images/partial');
      await expect
        .poll(async () => {
          const names = await readdir(partial);
          return names.length === 1 && (await readFile(join(partial, names[0] ?? ''))).length;
        })
        .toBe(3 << 20);
      // As kill -9 of the daemon does to it: its channel closes, it does not get to clean up.
      first.unpacker[Symbol.dispose]();
      controller.abort();
      await pull;
      await first[Symbol.asyncDispose]();
      await using second = await ImageMachine.open({}, folder);
      await second.puller.pull(name, signal());
      expect(ranges).toEqual(['', `bytes=${3 << 20}-`]);
      expect((await second.layersOf(name)).length).toBe(1);
      expect(await readdir(partial)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('goes on with layers that had come before a death, but for those that were harmed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-image-'));
    try {
      const second = tarOf([file('second', 'x')]);
      registry.putImage('three:1', [LAYER, second, tarOf([file('third', 'y')])], {
        packing: 'plain',
      });
      const three = `${registry.host}/three:1`;
      const hex = (bytes: Buffer): string => digestOf(bytes).replace('sha256:', '');
      const asked: string[] = [];
      registry.fault = (request) => {
        if (request.url?.includes('/blobs/') === true) asked.push(request.url.slice(-64));
        return false;
      };
      const blob = (bytes: Buffer): string => join(folder, 'images/blobs/sha256', hex(bytes));
      for (const bytes of [LAYER, second]) {
        await mkdir(dirname(blob(bytes)), { recursive: true });
        await writeFile(blob(bytes), bytes);
      }
      await writeFile(blob(second), Buffer.alloc(second.length));
      await using machine = await ImageMachine.open({}, folder);
      await machine.puller.pull(three, signal());
      expect(asked).not.toContain(hex(LAYER));
      expect(asked).toContain(hex(second));
      expect((await machine.layersOf(three)).length).toBe(3);
    } finally {
      registry.fault = () => false;
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('takes everything again from a registry that knows no ranges', async () => {
    await using machine = await ImageMachine.open();
    layerFault((response) => {
      response.writeHead(200, { 'content-length': LAYER.length });
      if (ranges.length === 1) response.write(LAYER.subarray(0, 1 << 20), () => response.destroy());
      else response.end(LAYER);
      return true;
    });
    await machine.puller.pull(name, signal());
    expect(ranges).toEqual(['', expect.stringMatching(/^bytes=[1-9]/)]);
  });

  it('does not believe what an earlier download has left', async () => {
    await using machine = await ImageMachine.open();
    layerFault((response, from) => {
      if (ranges.length > 1) return false;
      response.writeHead(200, { 'content-length': LAYER.length });
      response.write(Buffer.alloc((1 << 20) - from), () => response.destroy());
      return true;
    });
    await expect(machine.puller.pull(name, signal())).rejects.toMatchObject({ code: 'data-loss' });
    expect(await readdir(join(machine.stateDir, 'images/partial'))).toEqual([]);
    await machine.puller.pull(name, signal());
    expect(ranges.at(-1)).toBe('');
  });

  it('is an error that harms nothing when the disk is full', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-small-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder]);
    try {
      registry.putImage('small:1', [tarOf([file('a', 'small')])]);
      const small = `${registry.host}/small:1`;
      {
        await using machine = await ImageMachine.open({}, folder);
        await machine.puller.pull(small, signal());
        const before = await readdir(machine.store.layersDir);
        await expect(machine.puller.pull(name, signal())).rejects.toMatchObject({
          code: 'resource-exhausted',
          message: expect.stringMatching(/No space left|ENOSPC/),
        });
        expect(await readdir(machine.store.layersDir)).toEqual(before);
        expect(await readdir(join(folder, 'images/partial'))).toEqual([]);
        registry.putImage('other:1', [tarOf([file('b', 'small, too')])]);
        await machine.puller.pull(`${registry.host}/other:1`, signal());
      }
      await using again = await ImageMachine.open({}, folder);
      expect((await again.layersOf(small)).length).toBe(1);
    } finally {
      await run('umount', ['-l', folder]);
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a registry that sends its visitors elsewhere', () => {
  it('is followed, but not with its credentials, and not for ever', async () => {
    await using registry = await TestRegistry.start();
    await using storage = await TestRegistry.start();
    for (const one of [registry, storage]) one.putImage('app:1', [LAYER], { packing: 'plain' });
    const seen: (string | undefined)[] = [];
    storage.fault = (request) => {
      seen.push(request.headers.authorization);
      return false;
    };
    let where = storage.host;
    registry.fault = (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      }
      if (request.url?.includes(BLOB) !== true) return false;
      response.writeHead(307, { location: `http://${where}${request.url}` }).end();
      return true;
    };
    const auth = { [registry.host]: { username: 'ann', password: 'pass', identityToken: '' } };
    await using machine = await ImageMachine.open();
    await machine.puller.pull(`${registry.host}/app:1`, signal(), { auth });
    expect(seen).toEqual([undefined]);
    where = registry.host;
    await using other = await ImageMachine.open();
    await expect(
      other.puller.pull(`${registry.host}/app:1`, signal(), { auth }),
    ).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('redirects more than'),
    });
  });
});

describe('a registry that crawls', () => {
  it('is given up when it would never end', async () => {
    let send = (): void => undefined;
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 1_000 });
      send = () => void response.write('x');
      send();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/blob`;
    const clock = new ManualClock(0);
    const options = { from: 0, sizeBytes: 1_000, clock, random: systemRandom, signal: signal() };
    const consume = async (): Promise<void> => {
      for await (const _chunk of fetchBlob({ url, headers: {} }, options)) {
        // A byte whenever it has nearly been given up for sending nothing.
        queueMicrotask(() => {
          clock.advance(20_000);
          send();
        });
      }
    };
    try {
      await expect(consume()).rejects.toThrow('it sent only');
    } finally {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });
});
