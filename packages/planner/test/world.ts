/** A cluster in memory for tests: objects, agents that do as they are told, a clock that is set. */
import { assert } from '@swarmd/base';
import { SequentialIds } from '@swarmd/base/testing';
import {
  asId,
  clusterSpec,
  isWantedState,
  networkSpec,
  nodeSpec,
  rank,
  secretSpec,
  serviceSpec,
  type Change,
  type Network,
  type Node,
  type NodeId,
  type NetworkSpec,
  type NodeDescription,
  type NodePlugin,
  type ObjectOf,
  type Service,
  type ServiceId,
  type ServiceSpecInput,
  type TableName,
  type Task,
  type TaskState,
  type GenericResource,
  STANDBY_SLOT,
} from '@swarmd/model';

import {
  acceptStatus,
  allocateNetwork,
  allocateNode,
  changedService,
  continuedService,
  newService,
  planAutoscale,
  planService,
  repeatedJob,
  rolledBackService,
  serviceWaits,
  withFileVersion,
  type Allocated,
  type AssignView,
  type FileView,
  type Measured,
  type Plan,
  type Wait,
} from '../src/index.ts';

type Tables = { [T in TableName]: Map<string, ObjectOf[T]> };

export interface NodeOptions {
  cpus?: number;
  memoryBytes?: number;
  availability?: 'active' | 'pause' | 'drain';
  state?: 'unknown' | 'ready' | 'down';
  role?: 'worker' | 'manager';
  labels?: Record<string, string>;
  engineLabels?: Record<string, string>;
  generic?: readonly GenericResource[];
  architecture?: string;
  address?: string;
  /** Ready, but gets nothing; or down, and replaced so much later. */
  heldMs?: number;
  turnMs?: number;
  plugins?: readonly NodePlugin[];
  /** What it lacks for encrypted networks; empty: nothing. */
  lacks?: string;
}

const GIB = 1024 ** 3;
const META = { version: 0, createdAt: 0, updatedAt: 0 };

export class World {
  now = 1_000_000;
  version = 0;
  readonly tables: Tables = {
    cluster: new Map(),
    config: new Map(),
    network: new Map(),
    node: new Map(),
    secret: new Map(),
    service: new Map(),
    task: new Map(),
  };
  /** What tasks were last measured to use. */
  readonly usage = new Map<string, Measured>();
  #made = 0;
  #lastStamp = 0;
  readonly #ids = new SequentialIds('t');
  readonly view: AssignView & FileView;

  constructor(cluster: Parameters<typeof clusterSpec.parse>[0] = {}) {
    // oxlint-disable-next-line typescript/no-this-alias
    const world = this;
    this.view = {
      get version() {
        return world.version;
      },
      get: <T extends TableName>(table: T, id: string) =>
        (world.tables[table] as Map<string, ObjectOf[T]>).get(id),
      list: <T extends TableName>(table: T) =>
        (world.tables[table] as Map<string, ObjectOf[T]>).values(),
      tasksByService: (id: ServiceId) => world.tasks().filter((task) => task.serviceId === id),
      tasksByNode: (id: NodeId) => world.tasks().filter((task) => task.nodeId === id),
    };
    this.put('cluster', {
      id: asId('cluster', 'cluster'),
      meta: META,
      spec: clusterSpec.parse(cluster),
      rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
      removedManagers: [],
    });
  }

  tasks(): Task[] {
    return [...this.tables.task.values()];
  }

  /** As the store does: every write is stamped later than the one before. */
  put<T extends TableName>(table: T, object: ObjectOf[T]): ObjectOf[T] {
    this.#lastStamp = Math.max(this.now, this.#lastStamp + 1);
    return this.#write(table, object);
  }

  #write<T extends TableName>(table: T, object: ObjectOf[T]): ObjectOf[T] {
    const rows = this.tables[table] as Map<string, ObjectOf[T]>;
    const before = rows.get(object.id);
    if (table === 'task' && before !== undefined) assertForward(before as Task, object as Task);
    this.version += 1;
    const createdAt = before?.meta.createdAt ?? this.#lastStamp;
    const meta = { version: this.version, createdAt, updatedAt: this.#lastStamp };
    const stored = { ...object, meta };
    rows.set(object.id, stored);
    return stored;
  }

  apply(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#lastStamp = Math.max(this.now, this.#lastStamp + 1);
    for (const change of changes) {
      if (change.kind === 'put') this.#write(change.table, change.object);
      else this.tables[change.table].delete(change.id);
    }
  }

  node(name: string, options: NodeOptions): Node {
    const id = asId('node', name);
    const before = this.tables.node.get(id);
    const place = before ?? granted(allocateNode(this.view));
    const state = options.state ?? before?.status.state ?? 'ready';
    const changed = before?.status.state !== state;
    const old = before?.description?.resources;
    return this.put('node', {
      id,
      meta: META,
      spec: nodeSpec.parse({
        labels: options.labels ?? before?.spec.labels,
        role: options.role ?? before?.role ?? 'worker',
        availability: options.availability ?? before?.spec.availability,
      }),
      role: options.role ?? before?.role ?? 'worker',
      index: place.index,
      gatewaySubnet: place.gatewaySubnet,
      ingressAddress: place.ingressAddress,
      description: {
        hostname: name,
        platform: {
          os: 'linux',
          architecture:
            options.architecture ?? before?.description?.platform.architecture ?? 'x86_64',
        },
        resources: {
          nanoCpus: options.cpus === undefined ? (old?.nanoCpus ?? 4e9) : options.cpus * 1e9,
          memoryBytes: options.memoryBytes ?? old?.memoryBytes ?? 4 * GIB,
          generic: options.generic ?? old?.generic ?? [],
        },
        engineVersion: 'test',
        networks: [],
        addresses6: [],
        plugins: options.plugins ?? before?.description?.plugins ?? [],
        labels: options.engineLabels ?? before?.description?.labels ?? {},
        ...encryptionOf(options.lacks, before),
      },
      status: {
        state,
        message: '',
        address: options.address ?? `192.168.0.${place.index}`,
        agentAddress: `192.168.0.${place.index}:4244`,
        since: changed ? this.now : (before?.status.since ?? this.now),
        ...(options.heldMs === undefined ? {} : { heldUntil: this.now + options.heldMs }),
        ...(options.turnMs === undefined ? {} : { replaceFrom: this.now + options.turnMs }),
      },
    });
  }

  network(
    name: string,
    fields: Partial<Pick<NetworkSpec, 'driver' | 'ipv6' | 'options' | 'reserved' | 'subnet'>> = {},
  ): Allocated<Network> {
    const spec = networkSpec.parse({ name, ...fields });
    const chosen = allocateNetwork(this.view, spec);
    if (chosen.kind === 'refused') return chosen;
    const id = asId('network', name);
    return {
      kind: 'allocated',
      value: this.put('network', { id, meta: META, spec, ...chosen.value }),
    };
  }

  /** As the control API does: the next version of a secret, for all services that use one of it. */
  secret(name: string): void {
    const versions = [...this.tables.secret.values()].filter((one) => one.spec.name === name);
    const last = versions.find((one) => one.replacedAt === undefined);
    const number = (last?.number ?? 0) + 1;
    const id = asId('secret', `${name}@${number}`);
    if (last !== undefined) this.put('secret', { ...last, replacedAt: this.now });
    const spec = secretSpec.parse({ name, data: new Uint8Array([number]) });
    this.put('secret', { id, meta: META, spec, number });
    const from = new Set<string>(versions.map((one) => one.id));
    for (const service of this.tables.service.values()) {
      const change = { table: 'secret', from, to: id, now: this.now } as const;
      const changed = withFileVersion(this.view, service, change);
      if (changed !== undefined) this.#store(changed);
    }
  }

  /** Names of secrets stand for their newest version. */
  #withSecrets(spec: ServiceSpecInput): ServiceSpecInput {
    const { container } = spec.task;
    const newest = (name: string): string =>
      [...this.tables.secret.values()].find(
        (one) => one.spec.name === name && one.replacedAt === undefined,
      )?.id ?? name;
    const secrets = container.secrets?.map((file) => ({ ...file, id: newest(file.name) }));
    if (secrets === undefined) return spec;
    return { ...spec, task: { ...spec.task, container: { ...container, secrets } } };
  }

  create(spec: ServiceSpecInput): Allocated<Service> {
    // Named after the service; one that comes after another of its name has a number.
    this.#made += 1;
    const isFirst = !this.serviceIds().some((id) => id.split('#')[0] === spec.name);
    const id = asId('service', isFirst ? spec.name : `${spec.name}#${this.#made}`);
    const parsed = serviceSpec.parse(this.#withSecrets(spec));
    return this.#store(newService(this.view, { id, spec: parsed, now: this.now }));
  }

  update(spec: ServiceSpecInput): Allocated<Service> {
    return this.#store(
      changedService(this.view, this.service(spec.name), {
        spec: serviceSpec.parse(this.#withSecrets(spec)),
        now: this.now,
      }),
    );
  }

  rollback(name: string, to?: number): Allocated<Service> {
    return this.#store(rolledBackService(this.view, this.service(name), { to, now: this.now }));
  }

  /** A user asks for a run of a job. */
  run(name: string): Allocated<Service> {
    return this.#store(repeatedJob(this.service(name), this.now));
  }

  /** Somebody approves the canary step that the update waits at. */
  proceed(name: string): Allocated<Service> {
    return this.#store(continuedService(this.service(name), this.now));
  }

  #store(service: Allocated<Service>): Allocated<Service> {
    if (service.kind === 'refused') return service;
    return { kind: 'allocated', value: this.put('service', service.value) };
  }

  serviceNamed(name: string): Service | undefined {
    return [...this.tables.service.values()].find((service) => service.spec.name === name);
  }

  service(name: string): Service {
    const service = this.serviceNamed(name);
    assert(service !== undefined, `the test made service ${name}`);
    return service;
  }

  /** Every service that exists or has tasks. */
  serviceIds(): ServiceId[] {
    const ids = [...this.tables.service.values()].map((service) => service.id);
    return [...new Set([...ids, ...this.tasks().map((task) => task.serviceId)])].toSorted();
  }

  /** Plans a service and applies the plan. */
  plan(id: ServiceId): Plan {
    const plan = planService(this.view, id, { now: this.now, ids: this.#ids });
    this.apply(plan.ops);
    return plan;
  }

  /** Plans, and tells what is waited for then. Asking takes none of the ids of what is planned. */
  waits(id: ServiceId): Wait[] {
    this.plan(id);
    return serviceWaits(this.view, id, { now: this.now, ids: new SequentialIds('asked') });
  }

  /** Decides on the number of replicas of an autoscaled service, and applies the decision. */
  autoscale(name: string): Plan {
    const plan = planAutoscale(this.view, this.service(name).id, {
      now: this.now,
      usage: (id) => this.usage.get(id),
    });
    this.apply(plan.ops);
    return plan;
  }

  /** An agent's word. @returns why it was not taken, if so. */
  report(
    task: Task,
    state: TaskState,
    more: { error?: string; exitCode?: number } = {},
  ): string | undefined {
    const status = { state, timestamp: this.now, message: state, error: '', ...more };
    const nodeId = task.nodeId ?? asId('node', '');
    const intake = acceptStatus(task, { status, nodeId, now: this.now });
    if (intake.kind !== 'accepted') return `${intake.kind}: ${intake.reason}`;
    this.put('task', intake.task);
    return undefined;
  }

  /** The task of that id, or that of "web.2" that counts: the newest wanted one, else the newest. */
  find(name: string): Task {
    const named = this.tasks().find(({ id }) => id === name);
    if (named !== undefined) return named;
    const [service, slot] = name.split('.');
    const tasks = this.tasks().filter(
      (task) => task.serviceName === service && task.slot === Number(slot),
    );
    const wanted = tasks.filter((task) => isWantedState(task.desiredState));
    const task = wanted.at(-1) ?? tasks.at(-1);
    assert(task !== undefined, `there is a task ${name}`);
    return task;
  }

  /** Agents that are reachable do what they are told. @returns whether anything changed. */
  agents(acts: (task: Task) => boolean = () => true): boolean {
    let changed = false;
    for (const task of this.tasks()) {
      if (!acts(task)) continue;
      const node = task.nodeId === undefined ? undefined : this.tables.node.get(task.nodeId);
      if (node === undefined || node.status.state === 'down') continue;
      changed = this.#agent(task) || changed;
    }
    return changed;
  }

  /** Images tell what happens: "broken..." cannot be pulled, "crash..." fails once it runs, "job..." completes. */
  #agent(task: Task): boolean {
    const { state } = task.status;
    if (rank(state) > rank('running')) return false;
    const image = task.spec.container.image;
    if (!isWantedState(task.desiredState)) {
      return this.report(task, 'shutdown') === undefined;
    }
    if (image.startsWith('broken')) {
      return this.report(task, 'rejected', { error: `no such image: ${image}` }) === undefined;
    }
    if (state === 'running') {
      if (image.startsWith('job')) return this.report(task, 'complete') === undefined;
      if (!image.startsWith('crash')) return false;
      return this.report(task, 'failed', { error: 'exit code 1', exitCode: 1 }) === undefined;
    }
    const goal = task.desiredState === 'ready' ? 'ready' : 'running';
    return state === goal ? false : this.report(task, goal) === undefined;
  }

  /** Plans and lets agents act until nothing changes without time passing. */
  settle(): void {
    for (let round = 0; round < 200; round += 1) {
      let busy = false;
      for (const id of this.serviceIds()) {
        const plan = this.plan(id);
        busy = busy || plan.ops.length > 0;
      }
      busy = this.agents() || busy;
      if (!busy) return;
    }
    throw new Error('the world does not settle');
  }

  /** Lets time pass, in steps, with everybody at work. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.settle();
      const due = this.serviceIds().flatMap((id) => {
        const plan = planService(this.view, id, { now: this.now, ids: this.#ids });
        return plan.requeueAfterMs === undefined ? [] : [this.now + plan.requeueAfterMs];
      });
      const next = Math.min(...due);
      if (next > end || next <= this.now) break;
      this.now = next;
    }
    this.now = end;
    this.settle();
  }
}

export function granted<T>(result: Allocated<T>): T {
  assert(result.kind === 'allocated', result.kind === 'refused' ? result.message : '');
  return result.value;
}

function assertForward(before: Task, after: Task): void {
  assert(rank(after.status.state) >= rank(before.status.state), `${after.id}: status goes back`);
  assert(rank(after.desiredState) >= rank(before.desiredState), `${after.id}: desire goes back`);
  assert(before.nodeId === undefined || before.nodeId === after.nodeId, `${after.id}: moves`);
  const staysInSlot = before.slot === after.slot || before.slot === STANDBY_SLOT;
  assert(staysInSlot, `${after.id}: changes its slot`);
}

function encryptionOf(
  lacks: string | undefined,
  before: Node | undefined,
): Pick<NodeDescription, 'encryption'> {
  if (lacks !== undefined) return { encryption: { lacks, incarnation: '', newestKey: 0 } };
  const encryption = before?.description?.encryption;
  return encryption === undefined ? {} : { encryption };
}
