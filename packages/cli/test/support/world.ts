/** The cluster that the texts in testdata talk to: three managers, two workers, two services. */
import {
  asId,
  networkSpec,
  serviceSpec,
  STANDBY_SLOT,
  type Cluster,
  type Config,
  type Network,
  type Node,
  type NodeSpec,
  type Secret,
  type Service,
  type ServiceSpecInput,
  type Task,
} from '@swarmd/model';

export const NOW = Date.UTC(2026, 0, 2, 12);
const MINUTE_MS = 60_000;
const id = (name: string): string => name.padEnd(25, '0');
const meta = (version: number, createdAt: number = NOW - 120 * MINUTE_MS) => ({
  version,
  createdAt,
  updatedAt: createdAt,
});

export interface World {
  nodes: Node[];
  services: Service[];
  tasks: Task[];
  networks: Network[];
  secrets: Secret[];
  configs: Config[];
  cluster: Cluster;
}

function node(
  name: string,
  index: number,
  words: { state?: Node['status']['state']; availability?: NodeSpec['availability'] } = {},
): Node {
  const role = name.startsWith('m') ? 'manager' : 'worker';
  const address = `10.0.0.${index}`;
  return {
    id: asId('node', id(`node${name}`)),
    meta: meta(index),
    spec: { labels: {}, role, availability: words.availability ?? 'active' },
    role,
    index,
    gatewaySubnet: `100.64.${index}.0/24`,
    ingressAddress: `10.255.0.${index}`,
    description: {
      hostname: name,
      platform: { os: 'linux', architecture: 'amd64' },
      resources: { nanoCpus: 2e9, memoryBytes: 2 ** 31, generic: [] },
      engineVersion: '0.1.0',
      networks: [],
      addresses6: [],
      labels: {},
    },
    status: {
      state: words.state ?? 'ready',
      message: '',
      address,
      agentAddress: `${address}:4243`,
      since: NOW,
    },
    ...(role === 'worker'
      ? {}
      : {
          manager: { raftId: index, apiAddress: `${address}:4242`, raftAddress: `${address}:4244` },
        }),
  };
}

/** Of a job that ran once; the run after that was skipped. */
function someRuns(): NonNullable<Service['jobStatus']> {
  const at = (minutes: number): number => NOW + minutes * MINUTE_MS;
  return {
    iteration: 1,
    lastExecution: at(-10),
    runs: [
      {
        iteration: 1,
        state: 'complete',
        plannedFor: at(-10),
        at: at(-10),
        endedAt: at(-4),
        message: '',
      },
      {
        iteration: 0,
        state: 'skipped',
        plannedFor: at(-5),
        at: at(-5),
        message: 'run 1 has not ended',
      },
    ],
    schedule: { decidedUntil: at(-5), nextAt: at(5) },
  };
}

export function service(spec: ServiceSpecInput, version: number): Service {
  const full = serviceSpec.parse(spec);
  return {
    id: asId('service', id(`service${full.name}`)),
    meta: meta(version),
    spec: full,
    ...(full.schedule === undefined ? {} : { jobStatus: someRuns() }),
    specVersion: version,
    history: {
      specs: [
        {
          specVersion: 0,
          spec: serviceSpec.parse({ name: full.name, task: { container: { image: 'old' } } }),
          replacedAt: NOW - 5 * MINUTE_MS,
        },
      ],
    },
    endpoint: { ports: full.endpoint.ports, virtualIps: [] },
    because: [],
  };
}

/** `when`: minutes since it reached its state; tasks made later are the newer ones. */
export function task(
  of: Service,
  words: { slot: number; name: string; on?: Node; when?: number } & Partial<Task['status']>,
): Task {
  const { slot, name, on, when = 0, ...status } = words;
  const isOver = status.state === 'failed';
  return {
    id: asId('task', id(`task${name}`)),
    meta: meta(of.meta.version, NOW - when * MINUTE_MS),
    serviceId: of.id,
    ...(of.jobStatus === undefined ? {} : { jobIteration: of.jobStatus.iteration }),
    serviceName: of.spec.name,
    slot,
    spec: of.spec.task,
    specVersion: of.specVersion,
    desiredState: isOver ? 'shutdown' : 'running',
    status: {
      state: 'running',
      timestamp: NOW - when * MINUTE_MS,
      message: '',
      error: '',
      ...status,
    },
    networks: [],
    ports: of.endpoint.ports,
    because: [],
    ...(on === undefined ? {} : { nodeId: on.id }),
  };
}

export function smallWorld(): World {
  const m1 = node('m1', 1);
  const m2 = node('m2', 2);
  const w1 = node('w1', 4);
  const demo: Network = {
    id: asId('network', id('networkdemo')),
    meta: meta(6),
    spec: networkSpec.parse({ name: 'demo' }),
    vni: 4097,
    subnet: '10.0.1.0/24',
    gateway: '10.0.1.1',
    subnet6: '',
  };
  const secret: Secret = {
    id: asId('secret', id('secretkey')),
    meta: meta(8),
    spec: { name: 'key', labels: {}, data: new Uint8Array(), templating: 'none' },
    number: 1,
  };
  const config: Config = {
    id: asId('config', id('configapp')),
    meta: meta(9),
    spec: {
      name: 'app.conf',
      labels: {},
      data: new TextEncoder().encode('a=1\n'),
      templating: 'none',
    },
    number: 1,
  };
  const web = service(
    {
      name: 'web',
      labels: { tier: 'front' },
      mode: { kind: 'replicated', replicas: 3 },
      task: {
        container: {
          image: 'registry:5000/nginx:1',
          env: ['A=1', 'B=2'],
          mounts: [{ kind: 'tmpfs', target: '/tmp' }],
          secrets: [{ id: secret.id, name: 'key', target: 'key' }],
        },
        networks: [{ target: demo.id }],
        placement: { constraints: ['node.role==worker'] },
      },
      endpoint: {
        ports: [
          { publishedPort: 8080, targetPort: 80 },
          { publishedPort: 53, targetPort: 53, protocol: 'udp', publishMode: 'host' },
        ],
      },
    },
    12,
  );
  const job = service({ name: 'job', task: { container: { image: 'busybox:1' } } }, 14);
  const full =
    'no suitable node (memory: 5 of 5 nodes are short of it, the freest has 512 MiB left)';
  return {
    nodes: [w1, node('w2', 5, { availability: 'drain' }), m1, m2, node('m3', 3, { state: 'down' })],
    services: [web, job],
    tasks: [
      task(web, { slot: 1, name: 'web1', on: w1, when: 90 }),
      task(web, {
        slot: 2,
        name: 'web2old',
        on: m1,
        when: 30,
        state: 'failed',
        error: 'exit code 1:\n\tout of files',
      }),
      task(web, { slot: 2, name: 'web2', on: m1, when: 29 }),
      task(web, { slot: 3, name: 'web3', when: 1, state: 'pending', error: full }),
      task(job, { slot: 1, name: 'job1', on: m2, when: 0, state: 'preparing' }),
    ],
    networks: [demo],
    secrets: [secret],
    configs: [config],
    cluster: {
      id: asId('cluster', id('cluster')),
      meta: meta(1),
      spec: {} as Cluster['spec'],
      rootCa: {
        certificatePem: '',
        keyPem: '',
        joinTokens: { worker: 'SWMTKN-worker-1', manager: 'SWMTKN-manager-1' },
      },
      removedManagers: [],
      overlayKeys: {
        keys: [7, 8, 9].map((n) => ({
          id: n,
          secret: new Uint8Array(),
          createdAt: NOW - (10 - n) * 12 * 60 * MINUTE_MS,
        })),
        primary: 8,
        dueAt: NOW + 95 * MINUTE_MS,
      },
    },
  };
}

/** Two standbys of a service that are prepared, and one that failed at that. */
export function addStandbys({ nodes, services, tasks }: World, name: string): void {
  const of = services.find(({ spec }) => spec.name === name);
  const [one, two] = nodes;
  if (of === undefined || one === undefined || two === undefined) throw new Error(`no ${name}`);
  const slot = STANDBY_SLOT;
  const ready = { slot, state: 'ready' } as const;
  tasks.push(
    { ...task(of, { ...ready, name: 'spare1', on: one, when: 20 }), desiredState: 'ready' },
    task(of, { slot, name: 'spare0', on: two, when: 25, state: 'failed', error: 'exit code 1' }),
    { ...task(of, { ...ready, name: 'spare2', on: two, when: 10 }), desiredState: 'ready' },
  );
}
