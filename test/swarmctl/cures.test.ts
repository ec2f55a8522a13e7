/**
 * What `swarmctl explain` says lets a task run does: the command lines that it prints are typed, and the task
 * runs. A real manager and the whole of swarmctl; the node is an agent without containers.
 */
import { until } from '@swarmd/base/testing';
import type { Node, NodeDescription, Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { FakeAgent } from '../../packages/manager/test/support/fake-agent.ts';
import { aCall, TestCluster, type Host } from '../../packages/manager/test/support/managers.ts';
import { Session } from './session.ts';

const MACHINE: Partial<NodeDescription> = {
  hostname: 'n1',
  resources: {
    nanoCpus: 4e9,
    memoryBytes: 8 * 1024 ** 3,
    generic: [{ kind: 'gpu', count: 2, names: ['a', 'b'] }],
  },
  plugins: [
    { kind: 'volume', name: 'local' },
    { kind: 'log', name: 'local' },
    { kind: 'runtime', name: 'crun' },
    { kind: 'network', name: 'overlay' },
    { kind: 'interface', name: 'eth0' },
  ],
};

interface Case {
  readonly name: string;
  /** Commands before; of a service that is to be there beside it, "other". */
  readonly before?: readonly string[];
  /** Flags of the service that waits. */
  readonly flags: string;
  /** What the node says. */
  readonly refused: string;
  /** What is named for it. */
  readonly cure: RegExp;
}

const create = (name: string, flags: string): string =>
  `swarmctl service create -d --no-resolve-image --restart-delay 0 --update-monitor 0 --name ${name} ${flags} registry.test/web:1`;

const CASES: readonly Case[] = [
  {
    name: 'a drained node',
    before: ['swarmctl node update --availability drain n1'],
    flags: '',
    refused: 'drained',
    cure: /^swarmctl node update --availability active n1$/,
  },
  {
    name: 'processors',
    flags: '--reserve-cpu 9',
    refused: 'insufficient CPU: 9 CPUs are wanted, 4 are free',
    cure: /^swarmctl service update --reserve-cpu 4 web$/,
  },
  {
    name: 'memory',
    flags: '--reserve-memory 90G',
    refused: 'insufficient memory',
    cure: /--reserve-memory 8192M web$/,
  },
  {
    name: 'a label',
    flags: "--constraint 'node.labels.disk in (ssd, nvme)'",
    refused: 'placement constraints not met',
    cure: /^swarmctl node update --label-add disk=ssd n1$/,
  },
  {
    name: 'what no label changes, with a quote in it',
    flags: `--constraint 'node.hostname==o'\\''brien'`,
    refused: 'placement constraints not met',
    cure: /--constraint-rm/,
  },
  {
    name: 'a maximum per node',
    flags: '--replicas 2 --replicas-max-per-node 1',
    refused: 'max replicas per node reached',
    cure: /--replicas-max-per-node 2 web$/,
  },
  {
    name: 'a service that it wants to be near to',
    before: [create('other', '--constraint node.labels.moon==1')],
    flags: '--affinity service==other',
    refused: 'no task of other',
    cure: /--affinity-rm/,
  },
  {
    name: 'a service that it keeps away from',
    before: [create('other', '')],
    flags: '--affinity service!=other',
    refused: 'a task of other',
    cure: /--affinity-rm/,
  },
  {
    name: 'a service that keeps it away',
    before: [create('other', '--affinity service!=web')],
    flags: '',
    refused: 'a task that keeps the service away',
    cure: /--affinity-rm .* other$/,
  },
  {
    name: 'a port of the node that another service has',
    before: [create('other', '--publish published=8000,target=80,mode=host')],
    flags: '--publish published=8000,target=53,protocol=tcp,mode=host',
    refused: 'host-mode port already in use: 8000/tcp',
    cure: /--publish-rm 53\/tcp --publish-add published=8001,target=53,mode=host web$/,
  },
  {
    name: 'a port of the node that another task of the service has',
    flags: '--replicas 2 --publish published=8000,target=53,protocol=udp,mode=host',
    refused: 'host-mode port already in use: 8000/udp',
    cure: /--publish-add published=8000,target=53,protocol=udp,mode=ingress web$/,
  },
  {
    name: 'a platform',
    flags: '--platform linux/arm64 --platform windows/amd64',
    refused: 'unsupported platform',
    cure: /--platform linux\/arm64 --platform windows\/amd64 --platform linux\/amd64 web$/,
  },
  {
    name: 'a volume driver',
    flags: "--mount 'type=volume,source=d,target=/my data,volume-driver=nfs'",
    refused: 'no volume driver nfs',
    cure: /--mount-rm '\/my data' web$/,
  },
  {
    name: 'a log driver',
    flags: '--log-driver journald',
    refused: 'no log driver journald',
    cure: /--log-driver local web$/,
  },
  {
    name: 'a runtime',
    flags: '--runtime kata',
    refused: 'no runtime kata',
    cure: /--runtime '' web$/,
  },
  {
    name: 'an interface',
    before: [
      'swarmctl network create --driver macvlan --subnet 10.9.0.0/24 --opt parent=eth7 --opt macvlan_mode=bridge wire',
    ],
    flags: '--network wire',
    refused: 'no network driver macvlan',
    cure: /--network-rm wire web$/,
  },
  {
    name: 'some of a generic resource, and all of another one',
    flags: '--generic-resource gpu=3 --generic-resource fpga=1',
    refused: 'insufficient generic resource gpu',
    cure: /--generic-resource-add gpu=2 --generic-resource-rm fpga web$/,
  },
  {
    name: 'a generic resource that is called as one that all nodes have',
    flags: '--generic-resource memory=1 --generic-resource CPU=1',
    refused: 'insufficient generic resource memory',
    cure: /^swarmctl service update --generic-resource-rm memory --generic-resource-rm CPU web$/,
  },
  {
    name: 'addresses',
    before: ['swarmctl network create --subnet 10.7.0.0/29 tiny'],
    flags: '--network tiny --replicas 9',
    refused: 'no free address on network tiny (10.7.0.0/29)',
    cure: /^swarmctl network update --subnet-add 10\.\d+\.\d+\.0\/24 tiny$/,
  },
  {
    name: 'everything at once',
    before: [
      'swarmctl node update --availability pause n1',
      create('other', '--mode global --publish published=8000,target=80,mode=host'),
    ],
    flags:
      '--reserve-cpu 9 --constraint node.labels.disk==ssd --platform linux/arm64 --log-driver journald --generic-resource fpga=1',
    refused: 'paused',
    cure: /^swarmctl node update --availability active --label-add disk=ssd n1; swarmctl service update .*--reserve-cpu 4.* web$/,
  },
];

describe('what explain names', () => {
  const cluster = new TestCluster();
  let host: Host;
  let agent: FakeAgent;
  let session: Session;
  beforeAll(async () => {
    host = await cluster.init();
    agent = await cluster.worker(host);
    agent.describe(MACHINE);
    await until('the node is ready and described', async () => {
      const { status, description } = await node();
      return status.state === 'ready' && description?.hostname === 'n1';
    });
    session = new Session(host.manager.controlSocket);
  });
  afterAll(async () => {
    session[Symbol.dispose]();
    await cluster[Symbol.asyncDispose]();
  });

  const node = (): Promise<Node> => host.control.getNode({ id: agent.nodeId }, aCall());
  const tasks = (): Promise<Task[]> => host.control.listTasks({ filter: {} }, aCall());

  async function wanted(): Promise<Task[]> {
    return (await tasks()).filter(
      ({ serviceName, desiredState }) =>
        serviceName === 'web' && (desiredState === 'running' || desiredState === 'ready'),
    );
  }

  async function typed(line: string): Promise<string> {
    const { code, out, err } = await session.type(line);
    expect([line, code, code === 0 ? '' : err]).toEqual([line, 0, '']);
    return out;
  }

  async function removeAll(): Promise<void> {
    for (const { spec } of await host.control.listServices({ filter: {} }, aCall())) {
      await typed(`swarmctl service rm ${spec.name}`);
    }
    await until('no task is left', async () => (await tasks()).length === 0);
    for (const { spec } of await host.control.listNetworks({ filter: {} }, aCall())) {
      await typed(`swarmctl network rm ${spec.name}`);
    }
    const { labels } = (await node()).spec;
    const flags = Object.keys(labels).map((key) => `--label-rm ${key}`);
    await typed(`swarmctl node update --availability active ${flags.join(' ')} n1`);
  }

  it.each(CASES)('lets the task run: $name', async ({ before = [], flags, refused, cure }) => {
    for (const line of before) await typed(line);
    await until('what was there before has come', async () => {
      const all = await tasks();
      return all.every(({ status }) => ['running', 'pending'].includes(status.state));
    });
    await typed(create('web', flags));
    await until('a task waits, and says why', async () =>
      (await wanted()).some(({ nodeId, status }) => nodeId === undefined && status.error !== ''),
    );
    const told = await typed('swarmctl explain service web');
    expect(told).toContain(`refused by n1: ${refused}`);
    const [, lines = ''] = /it would fit on n1 after: (.*)/.exec(told) ?? [];
    expect(lines, told).toMatch(cure);
    for (const line of lines.split('; ')) await typed(line);
    await until('all of them run', async () => {
      const all = await wanted();
      return all.length > 0 && all.every(({ status }) => status.state === 'running');
    });
    await removeAll();
  });
});
