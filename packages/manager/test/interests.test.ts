import { describe, expect, it } from 'vitest';
import { asId, type Task } from '@swarmd/model';
import type { Commit } from '@swarmd/store';
import { createMemoryStore } from '@swarmd/store/testing';

import { InterestIndex } from '../src/dispatcher/interest-index.ts';
import { audienceOf, type Interests } from '../src/dispatcher/interests.ts';
import { aNode, aService, aTask } from './support/objects.ts';

const here = asId('node', 'here');
const there = asId('node', 'there');
const interests: Interests = {
  nodeId: here,
  networks: new Set(['blue']),
  secrets: new Set(['s1']),
  configs: new Set(),
  mesh: false,
  encrypted: false,
};
const onBlue = [{ networkId: asId('network', 'blue'), address: '10.0.1.5/24', aliases: [] }];
const onRed = [{ networkId: asId('network', 'red'), address: '10.0.2.5/24', aliases: [] }];
const port = {
  protocol: 'tcp',
  targetPort: 80,
  publishedPort: 8080,
  publishMode: 'ingress',
  address: '',
} as const;
const hostPort = { ...port, publishMode: 'host' } as const;
const starting = { state: 'starting', timestamp: 0, message: '', error: '' } as const;

function taskChange(before: Task | undefined, after: Task | undefined): Commit['changes'][number] {
  return { table: 'task', before, after };
}

const cases: [string, Commit['changes'][number], boolean][] = [
  ['a task of the node', taskChange(aTask('t', { nodeId: here }), undefined), true],
  [
    'progress of a task of the node, which the node itself has told',
    taskChange(aTask('t', { nodeId: here, status: starting }), aTask('t', { nodeId: here })),
    false,
  ],
  [
    'the end of a task of the node, which may be the doing of managers',
    taskChange(
      aTask('t', { nodeId: here }),
      aTask('t', { nodeId: here, status: { ...starting, state: 'failed' } }),
    ),
    true,
  ],
  ['a task elsewhere without network', taskChange(undefined, aTask('t', { nodeId: there })), false],
  [
    'an endpoint on its network',
    taskChange(undefined, aTask('t', { nodeId: there, networks: onBlue })),
    true,
  ],
  [
    'an endpoint on another network',
    taskChange(undefined, aTask('t', { nodeId: there, networks: onRed })),
    false,
  ],
  ['a task nobody runs yet', taskChange(undefined, aTask('t', { networks: onBlue })), false],
  [
    'an endpoint that begins to serve',
    taskChange(
      aTask('t', { nodeId: there, networks: onBlue, status: starting }),
      aTask('t', { nodeId: there, networks: onBlue }),
    ),
    true,
  ],
  [
    'an endpoint whose message changed',
    taskChange(
      aTask('t', { nodeId: there, networks: onBlue }),
      aTask('t', {
        nodeId: there,
        networks: onBlue,
        status: { ...aTask('t').status, message: 'hi' },
      }),
    ),
    false,
  ],
  [
    'an endpoint told to stop',
    taskChange(
      aTask('t', { nodeId: there, networks: onBlue }),
      aTask('t', { nodeId: there, networks: onBlue, desiredState: 'shutdown' }),
    ),
    true,
  ],
  ['its own node', { table: 'node', before: aNode('here'), after: aNode('here') }, true],
  ['a node that joins', { table: 'node', before: undefined, after: aNode('there') }, false],
  [
    'labels of another node',
    {
      table: 'node',
      before: aNode('there'),
      after: aNode('there', {
        spec: { labels: { a: 'b' }, role: 'worker', availability: 'active' },
      }),
    },
    false,
  ],
  [
    'the address of another node',
    {
      table: 'node',
      before: aNode('there'),
      after: aNode('there', { status: { ...aNode('x').status, address: '10.0.0.9' } }),
    },
    false,
  ],
  [
    'a service without network',
    { table: 'service', before: undefined, after: aService('web') },
    false,
  ],
  [
    'a service with a port',
    {
      table: 'service',
      before: undefined,
      after: aService('web', { endpoint: { ports: [port], virtualIps: [] } }),
    },
    true,
  ],
  [
    'a service with a port of the hosts that its tasks are on',
    {
      table: 'service',
      before: undefined,
      after: aService('web', { endpoint: { ports: [hostPort], virtualIps: [] } }),
    },
    false,
  ],
  [
    'a virtual address on its network',
    {
      table: 'service',
      before: aService('web'),
      after: aService('web', {
        endpoint: {
          ports: [],
          virtualIps: [{ networkId: asId('network', 'blue'), address: '10.0.1.2' }],
        },
      }),
    },
    true,
  ],
  [
    'a secret it does not use',
    {
      table: 'secret',
      before: undefined,
      after: {
        id: asId('secret', 's2'),
        meta: aNode('x').meta,
        spec: { name: 's', labels: {}, data: new Uint8Array(1), templating: 'none' },
        number: 1,
      },
    },
    false,
  ],
];

describe('does a commit concern the node?', () => {
  it.each(cases)('%s', (_name, change, expected) => {
    const view = createMemoryStore().view;
    const index = new InterestIndex<string>();
    index.put('one', interests);
    const audience = audienceOf({ version: 2, changes: [change] }, view);
    expect([...index.concerned(audience)].includes('one')).toBe(expected);
  });
});

it('lists progress that nodes are not told of, and nothing else', () => {
  const store = createMemoryStore();
  const [before, after] = [
    aTask('t', { nodeId: here, status: starting }),
    aTask('t', { nodeId: here }),
  ];
  const leaving = { ...after, ports: [hostPort], desiredState: 'shutdown' } as const;
  const changes = [
    taskChange(before, after),
    taskChange(after, { ...after, status: { ...after.status, state: 'failed' } }),
    taskChange(after, { ...after, desiredState: 'shutdown' }),
    taskChange(undefined, after),
    taskChange({ ...before, networks: onBlue }, { ...after, networks: onBlue }),
    taskChange(leaving, { ...leaving, because: [{ code: 'x', message: 'y', at: 1 }] }),
  ];
  const { progress } = audienceOf({ version: 1, changes }, store.view);
  const asRunning = { ...leaving, desiredState: 'running' };
  expect(progress).toEqual([
    [before, after],
    [asRunning, { ...asRunning, because: [{ code: 'x', message: 'y', at: 1 }] }],
  ]);
});

describe('a task of a service with a published port', () => {
  it.each([
    [port, true],
    [hostPort, false],
  ])('$publishMode: concerns a node elsewhere: %s', async (published, expected) => {
    const store = createMemoryStore();
    const service = aService('web', {
      meta: { version: 0, createdAt: 0, updatedAt: 0 },
      endpoint: { ports: [published], virtualIps: [] },
    });
    await store.update((tx) => tx.put('service', service), new AbortController().signal);
    const index = new InterestIndex<string>();
    index.put('one', interests);
    const task = { nodeId: there, serviceId: service.id, ports: [published] };
    const begins = taskChange(aTask('t', { ...task, status: starting }), aTask('t', task));
    const audience = audienceOf({ version: 3, changes: [begins] }, store.view);
    expect([...index.concerned(audience)].includes('one')).toBe(expected);
  });
});

describe('the index of interests', () => {
  const audience = audienceOf(
    {
      version: 2,
      changes: [taskChange(undefined, aTask('t', { nodeId: there, networks: onBlue }))],
    },
    createMemoryStore().view,
  );

  it('forgets what a node is interested in no more, and nodes that left', () => {
    const index = new InterestIndex<string>();
    index.put('one', interests);
    index.put('one', { ...interests, networks: new Set(['red']) });
    expect([...index.concerned(audience)]).toEqual([]);
    index.put('one', interests);
    expect([...index.concerned(audience)]).toEqual(['one']);
    index.delete(here);
    expect([...index.concerned(audience)]).toEqual([]);
  });

  it('has one for each node: the newest', () => {
    const index = new InterestIndex<string>();
    index.put('one', interests);
    index.put('another', interests);
    expect([...index.concerned(audience)]).toEqual(['another']);
  });
});
