/** The name server on sockets of this machine's loopback, with upstream servers of our own. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';

import { silentLogger } from '@swarmd/base';
import { freePort, ManualClock } from '@swarmd/base/testing';
import {
  decode,
  encode,
  streamDecode,
  streamEncode,
  type Packet,
  type RecordType,
} from 'dns-packet';
import { afterEach, expect, test } from 'vitest';

import { indexState } from '../src/desired/state-index.ts';
import { Directory, type DnsView } from '../src/dns/directory.ts';
import { DnsServer } from '../src/dns/server.ts';
import { DNS_UPSTREAM_TIMEOUT_MS } from '../src/limits.ts';
import { network, stateOf, type Placed } from './lab/cluster.ts';

const front = network('front', 4097);
const back = network('back', 4098);
const tasks: Placed[] = [
  { id: 'w1', node: 1, service: 'web', slot: 1, host: 11, networks: [front], aliases: ['www'] },
  { id: 'w2', node: 2, service: 'web', slot: 2, host: 12, networks: [front], serving: false },
  {
    id: 'd1',
    node: 1,
    service: 'db',
    slot: 1,
    host: 21,
    networks: [front, back],
    aliases: ['sql'],
  },
  {
    id: 'd2',
    node: 1,
    service: 'db',
    slot: 2,
    host: 22,
    networks: [front, back],
    aliases: ['sql'],
  },
  { id: 'h1', node: 1, service: 'hidden', slot: 1, host: 31, networks: [back] },
];
const vips = { web: 2, db: 0, hidden: 3 };
const state = stateOf({ nodes: 2, tasks, vips, networks: [front, back], ports: [] }, 1);

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
const closers: (() => Promise<unknown> | void)[] = [];

async function serve(
  options: {
    upstreams?: string[];
    view?: DnsView;
    clock?: ManualClock;
    directory?: () => Directory;
  } = {},
): Promise<number> {
  const constant = new Directory(indexState(state));
  const directory = options.directory ?? (() => constant);
  const view = options.view ?? { networks: [front.id], internal: false };
  const port = await freePort();
  const server = await DnsServer.listen({
    address: '127.0.0.1',
    port,
    knowledge: () => ({ directory: directory(), viewOf: () => view }),
    upstreams: options.upstreams ?? [],
    clock: options.clock ?? new ManualClock(),
    logger: silentLogger,
  });
  closers.push(() => server[Symbol.asyncDispose]());
  return port;
}

const query = (name: string, type: RecordType): Packet => ({
  type: 'query',
  id: 4711,
  questions: [{ type, name }],
});

async function ask(port: number, name: string, type: RecordType = 'A'): Promise<Packet> {
  const socket = createSocket('udp4');
  socket.send(encode(query(name, type)), port, '127.0.0.1');
  const [bytes] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return decode(bytes);
}

/** The code, then the sorted data. */
function gist(answer: Packet): unknown[] {
  const data = (answer.answers ?? []).map((one) =>
    'data' in one && typeof one.data === 'string' ? one.data : '',
  );
  return [(answer.flags ?? 0) & 15, ...data.toSorted((a, b) => a.localeCompare(b))];
}

/** An upstream server; `answer` undefined never answers. */
async function upstream(
  answer: string | undefined,
  code = 0,
): Promise<{ at: string; asked: Promise<unknown>; socket: Socket }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  closers.push(() => void socket.close());
  socket.on('message', (bytes, from) => {
    const asked = decode(bytes);
    if (code !== 0) {
      const refusal = encode({ ...asked, type: 'response', flags: code });
      socket.send(refusal, from.port, from.address);
    }
    if (answer === undefined) return;
    const name = asked.questions?.[0]?.name ?? '';
    const answers = [{ type: 'A' as const, name, data: answer }];
    const reply = encode({ ...asked, type: 'response', answers });
    socket.send(reply, from.port, from.address);
  });
  return { at: `127.0.0.1:${socket.address().port}`, asked: once(socket, 'message'), socket };
}

test.each([
  ['web', 'A', [0, '10.0.1.2']],
  ['WEB', 'A', [0, '10.0.1.2']],
  ['www', 'A', [0, '10.0.1.2']],
  ['web', 'AAAA', [0]],
  ['web', 'MX', [0]],
  ['tasks.web', 'A', [0, '10.0.1.11']],
  ['1.web', 'A', [0, '10.0.1.11']],
  ['2.web', 'A', [0]],
  ['3.web', 'A', [3]],
  ['db', 'A', [0, '10.0.1.21', '10.0.1.22']],
  ['sql', 'A', [0, '10.0.1.21', '10.0.1.22']],
  ['web.1.w1', 'A', [0, '10.0.1.11']],
  ['hidden', 'A', [3]],
  ['tasks.hidden', 'A', [3]],
  ['nope', 'A', [3]],
  ['11.1.0.10.in-addr.arpa', 'PTR', [0, 'web.1.w1']],
  ['2.1.0.10.in-addr.arpa', 'PTR', [0, 'web']],
] as const)('%s %s', async (name, type, expected) => {
  const [code] = expected;
  const port = await serve();
  const answer = gist(await ask(port, name, type));
  // Names with dots that are not the cluster's go to the upstreams, of which there are none here.
  expect(answer).toEqual(name === '3.web' ? [2] : [code, ...expected.slice(1)]);
});

test('the first of several addresses changes with each question', async () => {
  const port = await serve();
  const firsts = new Set<unknown>();
  for (let i = 0; i < 4; i += 1) {
    const [first] = (await ask(port, 'db')).answers ?? [];
    if (first !== undefined && 'data' in first) firsts.add(first.data);
  }
  expect(firsts.size).toBe(2);
});

test('what was answered before is answered as it is now, to the question as it is asked', async () => {
  const [before, after] = [[...tasks], tasks.map((one) => ({ ...one, serving: one.id !== 'd1' }))];
  const of = (list: Placed[]): Directory =>
    new Directory(
      indexState(stateOf({ nodes: 2, tasks: list, vips, networks: [front], ports: [] }, 1)),
    );
  let directory = of(before);
  const port = await serve({ directory: () => directory });
  expect(gist(await ask(port, 'db'))).toEqual([0, '10.0.1.21', '10.0.1.22']);
  const again = await ask(port, 'DB');
  expect([again.id, again.questions?.[0]?.name]).toEqual([4711, 'DB']);
  expect(gist(await ask(port, 'db', 'AAAA'))).toEqual([0]);
  directory = of(after);
  expect(gist(await ask(port, 'db'))).toEqual([0, '10.0.1.22']);
});

test('several questions in one TCP connection, in pieces', async () => {
  const port = await serve();
  const socket = connect(port, '127.0.0.1');
  const both = Buffer.concat([streamEncode(query('web', 'A')), streamEncode(query('db', 'A'))]);
  let got = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => (got = Buffer.concat([got, data])));
  socket.write(both.subarray(0, 5));
  await once(socket, 'connect');
  socket.write(both.subarray(5));
  while (got.length < 2 || got.length < 2 + got.readUInt16BE(0) + 10) await once(socket, 'data');
  expect(gist(streamDecode(got))).toEqual([0, '10.0.1.2']);
  socket.destroy();
});

test('the next upstream is asked when one is silent, and stays the first choice', async () => {
  const clock = new ManualClock();
  const [silent, good] = [await upstream(undefined), await upstream('192.0.2.7')];
  const port = await serve({ upstreams: [silent.at, good.at], clock });
  const answer = ask(port, 'example.org');
  await silent.asked;
  clock.advance(DNS_UPSTREAM_TIMEOUT_MS);
  expect(gist(await answer)).toEqual([0, '192.0.2.7']);
  expect(gist(await ask(port, 'example.com'))).toEqual([0, '192.0.2.7']);
});

test('SERVFAIL when no upstream answers', async () => {
  const clock = new ManualClock();
  const silent = await upstream(undefined);
  const port = await serve({ upstreams: [silent.at], clock });
  const answer = ask(port, 'example.org');
  await silent.asked;
  clock.advance(DNS_UPSTREAM_TIMEOUT_MS);
  expect(gist(await answer)).toEqual([2]);
});

test('containers of internal networks do not ask the outside', async () => {
  const outside = await upstream('192.0.2.7');
  const view = { networks: [front.id], internal: true };
  const port = await serve({ upstreams: [outside.at], view });
  expect(gist(await ask(port, 'example.org'))).toEqual([3]);
});

test('questions at the same time all find the upstream that answers', async () => {
  const clock = new ManualClock();
  const [silent, good] = [await upstream(undefined), await upstream('192.0.2.7')];
  const port = await serve({ upstreams: [silent.at, good.at], clock });
  const arrived = new Promise<void>((resolve) => {
    let count = 0;
    silent.socket.on('message', () => (count += 1) === 3 && resolve());
  });
  const answers = ['a.org', 'b.org', 'c.org'].map((name) => ask(port, name));
  await arrived;
  clock.advance(DNS_UPSTREAM_TIMEOUT_MS);
  for (const answer of answers) expect(gist(await answer)).toEqual([0, '192.0.2.7']);
});

test('an upstream that cannot or will not answer is no answer while another does', async () => {
  const [refusing, good] = [await upstream(undefined, 5), await upstream('192.0.2.7')];
  const port = await serve({ upstreams: [refusing.at, good.at] });
  expect(gist(await ask(port, 'example.org'))).toEqual([0, '192.0.2.7']);
  const alone = await serve({ upstreams: [refusing.at] });
  expect(gist(await ask(alone, 'example.org'))).toEqual([5]);
});

test("a container's own upstreams are asked instead", async () => {
  const [host, own] = [await upstream('192.0.2.1'), await upstream('192.0.2.2')];
  const view = { networks: [front.id], internal: false, upstreams: [own.at] };
  const port = await serve({ upstreams: [host.at], view });
  expect(gist(await ask(port, 'example.org'))).toEqual([0, '192.0.2.2']);
});
