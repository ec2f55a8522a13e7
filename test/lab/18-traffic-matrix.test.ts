/**
 * Who reaches a task, how, and what the task sees: every kind of client, by every way there is, with
 * TCP and UDP, by IPv4 and IPv6. Two services of one task each, on two nodes, so that each cell has
 * exactly one right answer.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { unreachable } from '@swarmd/base';
import type { Host } from '@swarmd/lab';
import type { Network, Node, Task } from '@swarmd/model';

import type { Question } from './matrix/asker.ts';
import { BUSYBOX, ctl, lab, ok, pidOf, remove, service, until, untilRunning } from './support.ts';

const SERVER = fileURLToPath(new URL('matrix/server.ts', import.meta.url));
const ASKER = fileURLToPath(new URL('matrix/asker.ts', import.meta.url));
const TARGET_PORT = 7_000;
/** Longer than all of this takes. */
const SERVES_MS = 1_200_000;
/** Published at one IPv6 address of one node. */
const BOUND = 9_003;
/** What has an answer may take its time for it; no answer is none after this. */
const [ANSWER_MS, SILENCE_MS] = [20_000, 2_500];
/** The nodes that take part: tasks on the workers, none on the manager. */
const NODES = ['m1', 'w1', 'w2'];

/**
 * What the task sees of the client. "own": the address the client has on the way's first network.
 * "node": of the client's container, masqueraded as it leaves its node. "ingress" and "gateway": of the
 * node that was asked, towards other nodes and towards its own containers; they stand where the answer
 * would otherwise miss the node that was asked.
 */
type Seen = 'own' | 'node' | 'ingress' | 'gateway' | 'nothing';

/** From whom, to what of whose; `of` and `task` are nodes: as seen from the client's. */
interface Rule {
  readonly from: 'outside' | 'node' | 'container';
  readonly to: 'address' | 'vip' | 'name' | 'port' | 'loopback port';
  readonly of?: 'its node' | 'other node';
  readonly task?: 'its node' | 'other node';
  readonly sees: Seen;
}

const RULES: readonly Rule[] = [
  { from: 'outside', to: 'address', sees: 'nothing' },
  { from: 'outside', to: 'vip', sees: 'nothing' },
  { from: 'outside', to: 'name', sees: 'nothing' },
  { from: 'outside', to: 'port', sees: 'own' },
  { from: 'node', to: 'address', sees: 'nothing' },
  { from: 'node', to: 'vip', sees: 'nothing' },
  { from: 'node', to: 'name', sees: 'nothing' },
  { from: 'node', to: 'loopback port', task: 'its node', sees: 'gateway' },
  { from: 'node', to: 'loopback port', task: 'other node', sees: 'ingress' },
  { from: 'node', to: 'port', of: 'its node', sees: 'own' },
  { from: 'node', to: 'port', of: 'other node', task: 'its node', sees: 'ingress' },
  { from: 'node', to: 'port', of: 'other node', task: 'other node', sees: 'own' },
  { from: 'container', to: 'address', sees: 'own' },
  { from: 'container', to: 'vip', sees: 'own' },
  { from: 'container', to: 'name', sees: 'own' },
  { from: 'container', to: 'port', of: 'its node', task: 'its node', sees: 'gateway' },
  { from: 'container', to: 'port', of: 'its node', task: 'other node', sees: 'own' },
  { from: 'container', to: 'port', of: 'other node', task: 'its node', sees: 'ingress' },
  { from: 'container', to: 'port', of: 'other node', task: 'other node', sees: 'node' },
];

interface Place {
  readonly name: string;
  readonly from: Rule['from'];
  readonly host: Host;
  /** Undefined outside of the cluster. */
  readonly node?: Node;
  readonly task?: Task;
}

interface Server {
  readonly name: string;
  readonly published: number;
  readonly task: Task;
  readonly vip: string;
}

interface Cell extends Omit<Question, 'waitMs'> {
  readonly what: string;
  readonly expected: string;
}

let network: Network;
let nodes: ReadonlyMap<string, Node>;
let places: readonly Place[];
let servers: readonly Server[];
const files: string[] = [];

beforeAll(async () => {
  await ok('network', 'create', '--ipv6', 'matrix');
  [network] = JSON.parse(await ok('network', 'inspect', 'matrix')) as [Network];
  const common = `--detach --network matrix --stop-grace-period 0s`.split(' ');
  const run = [BUSYBOX, 'sleep', '100000'];
  const publish = (port: number): string[] =>
    ['tcp', 'udp'].flatMap((protocol) => ['--publish', `${port}:${TARGET_PORT}/${protocol}`]);
  const create = (name: string, ...flags: string[]): Promise<string> =>
    ok('service', 'create', '--name', name, ...common, ...flags, ...run);
  const bound = `[${lab.host('m1').place.address6}]:${BOUND}:${TARGET_PORT}`;
  const to1 = ['--constraint', 'node.hostname==w1', '--publish', bound];
  await create('matrix1', ...publish(9_001), ...to1);
  await create('matrix2', ...publish(9_002), '--constraint', 'node.hostname==w2');
  await create('asker', '--mode', 'global');
  nodes = new Map(
    (JSON.parse(await ok('node', 'inspect', ...NODES)) as Node[]).map((node) => [node.id, node]),
  );
  servers = await Promise.all([serverOf('matrix1', 9_001), serverOf('matrix2', 9_002)]);
  const askers = await until('an asker on every node', async () => {
    const found = await untilRunning('asker', lab.nodes.length);
    return found.filter((task) => nodes.has(task.nodeId ?? ''));
  });
  places = [
    { name: 'c1', from: 'outside', host: lab.client },
    ...[...nodes.values()].map((node): Place => {
      return { name: hostOfNode(node).name, from: 'node', host: hostOfNode(node), node };
    }),
    ...askers.map((task): Place => {
      const node = nodeOf(task);
      const host = hostOfNode(node);
      return { name: `container on ${host.name}`, from: 'container', host, node, task };
    }),
  ];
});

afterAll(async () => {
  for (const file of files) rmSync(file, { force: true });
  await remove('matrix1', 'matrix2', 'asker');
  await ctl('m1', 'network', 'rm', 'matrix');
});

function nodeOf(task: Task): Node {
  const node = nodes.get(task.nodeId ?? '');
  if (node === undefined) throw new Error(`${task.id} is on a node that takes no part`);
  return node;
}

function hostOfNode(node: Node): Host {
  return lab.host(node.description?.hostname ?? '');
}

async function serverOf(name: string, published: number): Promise<Server> {
  const [task] = await untilRunning(name, 1);
  if (task === undefined) throw new Error(`no task of ${name}`);
  const host = hostOfNode(nodeOf(task));
  const file = `${host.dir}/listens-${randomUUID()}`;
  files.push(file);
  const enter = ['nsenter', `--target=${pidOf(task)}`, '--net', '--'];
  host
    .exec([...enter, process.execPath, SERVER, name, String(TARGET_PORT), file], {
      timeoutMs: SERVES_MS,
    })
    .catch(() => undefined);
  await until(`${name} to listen`, () => (existsSync(file) ? true : undefined));
  const vip = (await service(name)).endpoint.virtualIps[0]?.address ?? '';
  return { name, published, task, vip };
}

/** The address of the same in IPv6: see ADR 0022. */
function in6(prefix: string, address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const low = [a * 256 + b, c * 256 + d].map((part) => part.toString(16));
  return `${prefix.replace(/::\/96$/, '')}::${low.join(':')}`;
}

const bare = (address: string): string => address.split('/')[0] ?? address;
const firstOf = (subnet: string): string => bare(subnet).replace(/\d+$/, (last) => `${+last + 1}`);
const ownOf = (task: Task): string => bare(task.networks[0]?.address ?? '');
const sameNode = (a: Node | undefined, b: Node): Rule['of'] =>
  a?.id === b.id ? 'its node' : 'other node';

function ruleFor(
  { from, node }: Place,
  to: Rule['to'],
  where: { of?: Node; task: Node },
): Rule | undefined {
  return RULES.find(
    (rule) =>
      rule.from === from &&
      rule.to === to &&
      (rule.of === undefined || (where.of && sameNode(node, where.of)) === rule.of) &&
      (rule.task === undefined || sameNode(node, where.task) === rule.task),
  );
}

/** The ways from a place to a server. */
function waysOf(place: Place, server: Server, family: 4 | 6): Omit<Cell, 'protocol'>[] {
  const overlay = (address: string): string =>
    family === 4 ? address : in6(network.subnet6, address);
  const home = nodeOf(server.task);
  const cell = (to: Rule['to'], host: string, of?: Node): Omit<Cell, 'protocol'>[] => {
    const rule = ruleFor(place, to, { ...(of && { of }), task: home });
    if (rule === undefined) return [];
    const at = of === undefined ? '' : ` of ${hostOfNode(of).name}`;
    const seen = seenAs(rule, { place, family, ...(of && { of }) });
    return [
      {
        what: `${place.name} -> ${to}${at}, ${server.name} on ${hostOfNode(home).name}`,
        family,
        host,
        port: to.includes('port') ? server.published : TARGET_PORT,
        expected: seen === 'nothing' ? seen : `${server.name} ${seen}`,
      },
    ];
  };
  return [
    ...cell('address', overlay(ownOf(server.task))),
    ...cell('vip', overlay(server.vip)),
    ...cell('name', server.name),
    ...(place.node === undefined
      ? []
      : cell('loopback port', family === 4 ? '127.0.0.1' : '::1', place.node)),
    ...[...nodes.values()].flatMap((node) =>
      cell('port', addressOf(hostOfNode(node), family), node),
    ),
  ];
}

function addressOf(host: Host, family: 4 | 6): string {
  return family === 4 ? host.place.address : host.place.address6;
}

/** `of`: the node that is asked, if any. */
function seenAs(
  { sees, to }: Rule,
  { place, family, of }: { place: Place; family: 4 | 6; of?: Node },
): string {
  // What the hosts have among themselves has a /96 of its own.
  const mesh = (address: string): string =>
    family === 4 ? address : in6('fd53:7764:0:1000::/96', address);
  switch (sees) {
    case 'nothing':
      return 'nothing';
    case 'gateway':
      return mesh(firstOf(of?.gatewaySubnet ?? ''));
    case 'ingress':
      return mesh(of?.ingressAddress ?? '');
    case 'node':
      return addressOf(place.host, family);
    case 'own':
      if (place.task === undefined) return addressOf(place.host, family);
      if (to.endsWith('port')) return mesh(place.task.gatewayAddress ?? '');
      return family === 4 ? ownOf(place.task) : in6(network.subnet6, ownOf(place.task));
    default:
      return unreachable(sees);
  }
}

async function answersAt(place: Place, cells: readonly Cell[]): Promise<string[]> {
  const questions = cells.map(({ protocol, family, host, port, expected }) => {
    return {
      protocol,
      family,
      host,
      port,
      waitMs: expected === 'nothing' ? SILENCE_MS : ANSWER_MS,
    };
  });
  const enter =
    place.task === undefined ? [] : ['nsenter', `--target=${pidOf(place.task)}`, '--net', '--'];
  const { stdout } = await place.host.exec([
    ...enter,
    process.execPath,
    ASKER,
    JSON.stringify(questions),
  ]);
  return JSON.parse(stdout) as string[];
}

/** Anything that is no answer of a server is nothing: refused, unreachable, no such name. */
const outcome = (answer: string): string => (answer.startsWith('matrix') ? answer : 'nothing');

it('who reaches whom, and is seen as what', async () => {
  const results = await Promise.all(
    places.map(async (place) => {
      const ways = servers.flatMap((server) =>
        ([4, 6] as const).flatMap((family) => waysOf(place, server, family)),
      );
      const cells = ways.flatMap((way): Cell[] =>
        (['tcp', 'udp'] as const).map((protocol) => ({ ...way, protocol })),
      );
      const answers = await answersAt(place, cells);
      return cells.map((cell, at) => ({ cell, answer: answers[at] ?? '' }));
    }),
  );
  const all = results.flat();
  process.stdout.write(`${JSON.stringify({ cells: all.length })}\n`);
  const line = ({ what, protocol, family }: Cell, answer: string): string =>
    `${what}, ${protocol} IPv${family}: ${answer}`;
  const wrong = all.filter(({ cell, answer }) => outcome(answer) !== cell.expected);
  expect(wrong.map(({ cell, answer }) => line(cell, answer))).toEqual(
    wrong.map(({ cell }) => line(cell, cell.expected)),
  );
  expect(all.length).toBeGreaterThan(350);
});

it('what is published at an IPv6 address is answered there, and nowhere else', async () => {
  const outside = { name: 'c1', from: 'outside', host: lab.client } as const;
  const at = (host: string, family: 4 | 6): Cell => {
    return { what: '', expected: '', protocol: 'tcp', port: BOUND, host, family };
  };
  const [m1, w1] = [lab.host('m1').place, lab.host('w1').place];
  const asked = [at(m1.address6, 6), at(w1.address6, 6), at(m1.address, 4), at(w1.address, 4)];
  const answers = (await answersAt(outside, asked)).map(outcome);
  const expected = `matrix1 ${lab.client.place.address6}`;
  expect(answers).toEqual([expected, 'nothing', 'nothing', 'nothing']);
});
