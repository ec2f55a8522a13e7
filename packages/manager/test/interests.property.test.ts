/**
 * What the index of interests denies must change nothing: in random small clusters, a commit that is said not to
 * concern a node leaves that node's assignment as it was.
 */
import { diffAssignments } from '@swarmd/api';
import { unreachable } from '@swarmd/base';
import {
  asId,
  clusterSpec,
  type AssignmentSet,
  type Node,
  type Service,
  type Task,
} from '@swarmd/model';
import { assign } from '@swarmd/planner';
import type { Commit, Store, Transaction } from '@swarmd/store';
import { createMemoryStore } from '@swarmd/store/testing';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { InterestIndex } from '../src/dispatcher/interest-index.ts';
import { audienceOf, interestsOf } from '../src/dispatcher/interests.ts';
import { aNode, aService, aTask } from './support/objects.ts';

const NEW = { version: 0, createdAt: 0, updatedAt: 0 };
const NODES = ['n1', 'n2', 'n3'] as const;
const NETWORKS = ['blue', 'red'] as const;
const SERVICES = ['web', 'api'] as const;
const { signal } = new AbortController();
const DESCRIPTION = {
  hostname: '',
  platform: { os: '', architecture: '' },
  resources: { nanoCpus: 0, memoryBytes: 0, generic: [] },
  engineVersion: '',
  labels: {},
  networks: [],
  addresses6: [],
};

const states = fc.constantFrom('assigned', 'starting', 'running', 'failed', 'shutdown');
const desired = fc.constantFrom('ready', 'running', 'shutdown', 'remove');
const ports = fc.constantFrom(
  [],
  [
    {
      protocol: 'tcp',
      targetPort: 80,
      publishedPort: 8080,
      publishMode: 'ingress',
      address: '',
    } as const,
  ],
  [
    {
      protocol: 'tcp',
      targetPort: 80,
      publishedPort: 8081,
      publishMode: 'host',
      address: '',
    } as const,
  ],
);
const networks = fc.subarray([...NETWORKS]);
const secrets = fc.subarray(['s1']);

/** One write: of an object that may be there already, with what a real cluster may change of it. */
const steps = fc.oneof(
  fc.record({
    kind: fc.constant('task' as const),
    id: fc.constantFrom('t1', 't2', 't3', 't4'),
    nodeId: fc.option(fc.constantFrom(...NODES), { nil: undefined }),
    serviceId: fc.constantFrom(...SERVICES),
    state: states,
    desired,
    ports,
    networks,
    secrets,
    message: fc.constantFrom('', 'hello'),
  }),
  fc.record({
    kind: fc.constant('service' as const),
    id: fc.constantFrom(...SERVICES),
    ports,
    networks,
    note: fc.constantFrom('a', 'b'),
  }),
  fc.record({
    kind: fc.constant('node' as const),
    id: fc.constantFrom(...NODES),
    state: fc.constantFrom('ready', 'down', 'unknown'),
    address: fc.constantFrom('', '10.0.0.1', '10.0.0.2'),
    note: fc.constantFrom('a', 'b'),
    incarnation: fc.constantFrom('', 'first', 'second'),
  }),
  fc.record({ kind: fc.constant('keys' as const), primary: fc.constantFrom(1, 2) }),
  fc.record({ kind: fc.constant('secret' as const), data: fc.constantFrom(1, 2) }),
  fc.record({
    kind: fc.constant('remove' as const),
    table: fc.constantFrom('task', 'service', 'node'),
    id: fc.constantFrom('t1', 't2', 't3', 't4', ...SERVICES, ...NODES),
  }),
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

function write(tx: Transaction, step: Step): void {
  switch (step.kind) {
    case 'task':
      writeTask(tx, step);
      break;
    case 'service':
      tx.put('service', service(step, tx.get('service', asId('service', step.id))));
      break;
    case 'node':
      tx.put('node', node(step, tx.get('node', asId('node', step.id))));
      break;
    case 'keys': {
      const [cluster] = tx.list('cluster');
      const keys = [{ id: step.primary, secret: new Uint8Array(32), createdAt: 0 }];
      const overlayKeys = { keys, primary: step.primary, dueAt: 0 };
      if (cluster !== undefined) tx.put('cluster', { ...cluster, overlayKeys });
      break;
    }
    case 'secret': {
      const id = asId('secret', 's1');
      const meta = tx.get('secret', id)?.meta ?? NEW;
      const data = new Uint8Array([step.data]);
      const spec = { name: 's1', labels: {}, data, templating: 'none' } as const;
      tx.put('secret', { id, meta, spec, number: 1 });
      break;
    }
    case 'remove':
      if (tx.get(step.table as 'task', asId('task', step.id)) !== undefined) {
        tx.delete(step.table as 'task', asId('task', step.id));
      }
      break;
    default:
      unreachable(step);
  }
}

/** Tasks only move forward: what would not be legal is left out. */
function writeTask(tx: Transaction, step: Extract<Step, { kind: 'task' }>): void {
  const before = tx.get('task', asId('task', step.id));
  if (before !== undefined) tx.delete('task', before.id);
  const container = aTask('x').spec.container;
  const task: Task = aTask(step.id, {
    meta: NEW,
    serviceId: asId('service', step.serviceId),
    serviceName: step.serviceId,
    desiredState: step.desired,
    status: {
      state: step.state,
      timestamp: 0,
      message: step.message,
      error: '',
    },
    ports: step.ports,
    networks: step.networks.map((id, at) => ({
      networkId: asId('network', id),
      address: `10.0.${at}.${step.id.charCodeAt(1)}/24`,
      aliases: [],
    })),
    spec: {
      ...aTask('x').spec,
      container: {
        ...container,
        secrets: step.secrets.map((id) => ({
          id,
          name: id,
          target: id,
          uid: 0,
          gid: 0,
          mode: 0o444,
        })),
      },
    },
    ...(step.nodeId === undefined ? {} : { nodeId: asId('node', step.nodeId) }),
    ...(step.nodeId === undefined ? {} : { gatewayAddress: `100.64.1.${step.id.charCodeAt(1)}` }),
  });
  tx.put('task', task);
}

function service(step: Extract<Step, { kind: 'service' }>, before: Service | undefined): Service {
  const plain = aService(step.id, { meta: before?.meta ?? NEW });
  return {
    ...plain,
    spec: {
      ...plain.spec,
      labels: { note: step.note },
      task: {
        ...plain.spec.task,
        networks: step.networks.map((target) => ({ target, aliases: [] })),
      },
    },
    endpoint: {
      ports: step.ports,
      virtualIps: step.networks.map((id, at) => ({
        networkId: asId('network', id),
        address: `10.0.${at}.2`,
      })),
    },
  };
}

function node(step: Extract<Step, { kind: 'node' }>, before: Node | undefined): Node {
  const index = NODES.indexOf(step.id) + 1;
  const plain = aNode(step.id, { meta: before?.meta ?? NEW, index });
  const encryption = { lacks: '', incarnation: step.incarnation, newestKey: 0 };
  return {
    ...plain,
    description: { ...DESCRIPTION, encryption },
    spec: { ...plain.spec, labels: { note: step.note } },
    status: {
      ...plain.status,
      state: step.state,
      address: step.address,
    },
  };
}

async function newStore(): Promise<Store> {
  const store = createMemoryStore();
  await store.update((tx) => {
    tx.put('cluster', {
      id: asId('cluster', 'c'),
      meta: NEW,
      spec: clusterSpec.parse({}),
      rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
      removedManagers: [],
    });
    for (const [at, id] of NETWORKS.entries()) {
      tx.put('network', {
        id: asId('network', id),
        meta: NEW,
        spec: {
          name: id,
          labels: {},
          driver: 'overlay',
          internal: false,
          attachable: false,
          gateway: '',
          ipRange: '',
          reserved: {},
          moreSubnets: [],
          options: id === 'red' ? { encrypted: '' } : {},
          ipv6: false,
          subnet: '',
          mtu: 0,
        },
        vni: 4097 + at,
        subnet: `10.0.${at}.0/24`,
        gateway: `10.0.${at}.1`,
        subnet6: '',
      });
    }
    for (const id of NODES) {
      const plain = { state: 'ready', address: '10.0.0.1', note: 'a', incarnation: '' } as const;
      write(tx, { kind: 'node', id, ...plain });
    }
  }, signal);
  return store;
}

/** The list of addresses may wait. */
function withNodesOf(before: AssignmentSet, { network }: AssignmentSet): AssignmentSet {
  if (before.network === undefined || network === undefined) return before;
  return { ...before, network: { ...before.network, nodes: network.nodes } };
}

it('a commit that does not concern a node leaves its assignment as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 25 }), async (script) => {
      const store = await newStore();
      const commits: Commit[] = [];
      using _subscription = store.subscribe((commit) => commits.push(commit));
      for (const step of script) {
        const before = NODES.map((id) => assign(store.view, asId('node', id)));
        await store.update((tx) => write(tx, step), signal);
        const commit = commits.at(-1);
        if (commit?.version !== store.view.version) continue;
        for (const [at, id] of NODES.entries()) {
          const nodeId = asId('node', id);
          const audience = audienceOf(commit, store.view);
          const index = new InterestIndex<string>();
          index.put(id, interestsOf(nodeId, before[at]!));
          if ([...index.concerned(audience)].length > 0) continue;
          const after = assign(store.view, nodeId);
          const told = audience.addresses ? withNodesOf(before[at]!, after) : before[at];
          expect(diffAssignments(told, after)).toBeUndefined();
        }
      }
    }),
    { numRuns: 200 },
  );
});
