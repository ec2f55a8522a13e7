/**
 * A cluster in memory that does at once what it is told, and prints what that was: a changed object as
 * "path: before -> after", a new one as a whole.
 */
import { inspect } from 'node:util';

import type { Call, Control, ListFilter, LocalInfo, Membership, RaftStatusInfo } from '@swarmd/api';
import { SwarmError, type ErrorCode } from '@swarmd/base';
import type { ClusterClient, DaemonClient } from '@swarmd/client';
import {
  asId,
  isJob,
  logColumns,
  networkSpec,
  secretSpec,
  type Service,
  type Task,
} from '@swarmd/model';

import { requireManager } from '../../src/commands/swarm.ts';
import { aPreview, raftStatus, someVerdicts, someWaits } from './answers.ts';
import { fakeImages } from './fake-images.ts';
import { NOW, service, smallWorld, task, type World } from './world.ts';

/** What the daemon of this machine is in. */
export type Place = 'inactive' | 'joining' | 'worker' | 'manager' | 'broken';

interface Named {
  readonly id: string;
  readonly name: string;
}

export class FakeCluster {
  readonly world: World = smallWorld();
  readonly #print: (text: string) => void;
  place: Place = 'manager';
  /** Every call of the control API fails so. */
  failure: ErrorCode | undefined;

  constructor(print: (text: string) => void) {
    this.#print = print;
  }

  get daemon(): DaemonClient {
    const said = (what: string, request: object): LocalInfo => {
      this.#sent(what, request);
      return this.info;
    };
    return {
      local: {
        info: async () => this.info,
        init: async (request) => {
          this.place = 'manager';
          return said('init', request);
        },
        join: async (request) => {
          this.place = 'worker';
          return said('join', request);
        },
        leave: async (request) => void said('leave', request),
        checkNetwork: async ({ repair }) => [
          { subject: 'devices, entries and routes', details: [], wanted: [] },
          {
            subject: 'rules of web.1',
            details: repair ? [] : ['missing: set vips: 10.0.1.2'],
            wanted: [],
          },
        ],
      },
    };
  }

  get cluster(): ClusterClient {
    requireManager(this.info);
    const status = async (): Promise<RaftStatusInfo> => raftStatus();
    return {
      control: this.#control(),
      membership: { status } as Partial<Membership> as Membership,
      logs: { subscribe: () => this.#logs() },
      watch: {} as ClusterClient['watch'],
      engine: this.#engine() as ClusterClient['engine'],
    };
  }

  get info(): LocalInfo {
    const managers = ['10.0.0.1:4299', '10.0.0.2:4242'];
    const common = { error: '', hostname: 'm1', version: '0.1.0', controlSocket: '' };
    const member = { ...common, clusterId: this.world.cluster.id, managers };
    const [nodeId, address] = ['nodem1'.padEnd(25, '0'), '10.0.0.1'];
    const active = { ...member, state: 'active', nodeId, address } as const;
    const infos: Record<Place, LocalInfo> = {
      inactive: {
        ...common,
        state: 'inactive',
        nodeId: '',
        clusterId: '',
        role: '',
        address: '',
        managers: [],
      },
      joining: { ...member, state: 'pending', nodeId: '', role: '', address: '' },
      worker: { ...active, role: 'worker' },
      broken: { ...active, role: 'worker', state: 'error', error: 'address in use' },
      manager: { ...active, role: 'manager', controlSocket: '/run/swarmd/control.sock' },
    };
    return infos[this.place];
  }

  addNetwork(name: string): void {
    const { networks } = this.world;
    const [like] = networks;
    if (like === undefined) throw new Error('the world has a network');
    const id = asId('network', `network${name}`.padEnd(25, '0'));
    networks.push({ ...like, id, spec: { ...like.spec, name } });
  }

  #sent(what: string, request: unknown): void {
    const text = inspect(request, { depth: null, breakLength: 96, sorted: false });
    this.#print(`${what} ${text}`);
  }

  /** What changes by an update, one line a leaf. */
  #changed(what: string, before: object, after: object): void {
    const old = new Map(leaves(before));
    const now = new Map(leaves(after));
    const paths = [...new Set([...old.keys(), ...now.keys()])].filter(
      (path) => old.get(path) !== now.get(path),
    );
    const lines = paths.map(
      (path) => `  ${path}: ${old.get(path) ?? 'none'} -> ${now.get(path) ?? 'none'}`,
    );
    this.#print([what, ...(lines.length === 0 ? ['  nothing'] : lines)].join('\n'));
  }

  #engine(): Partial<ClusterClient['engine']> {
    const sent = (what: string, request: unknown): void => this.#sent(what, request);
    return {
      async *session(messages) {
        yield { kind: 'started', tty: false };
        for await (const message of messages) {
          sent('session', message);
          if (message.kind === 'exec' && !message.stdin) break;
          if (message.kind === 'attach' || message.kind === 'stdin-end') break;
        }
        yield { kind: 'output', stream: 'stdout', data: Buffer.from('hello\n') };
        yield { kind: 'output', stream: 'stderr', data: Buffer.from('oh\n') };
        yield { kind: 'exit', code: 3 };
      },
      explainNetwork: async (request) => {
        sent('explainNetwork', request);
        if (request.nodeId.startsWith('nodew2')) throw new SwarmError('unavailable', 'no answer');
        const wanted = ['chain vip_10_0_1_2: dnat to 10.0.1.5'];
        return [{ subject: 'rules of web.1', details: [], wanted }];
      },
      top: async () => [
        {
          pid: 4711,
          containerPid: 1,
          parentPid: 4700,
          uid: 33,
          state: 'S',
          cpuMs: 1_250,
          memoryBytes: 5 * 1024 * 1024,
          startedAt: NOW,
          command: 'nginx: master process',
        },
      ],
      async *stats() {
        const limits = { memoryLimitBytes: 0, pids: 3, pidsLimit: 0, blockWriteBytes: 0 };
        const traffic = { networkReceiveBytes: 1536, networkSendBytes: 20, blockReadBytes: 2048 };
        const common = { ...limits, ...traffic, memoryBytes: 300 * 1024 };
        yield { timestamp: NOW, cpuNs: 0, ...common };
        yield { timestamp: NOW + 1_000, cpuNs: 5e8, ...common };
      },
      ...fakeImages(sent),
      inspectContainer: async () => ({ paused: false }),
      pause: async (request) => sent('pause', request),
      unpause: async (request) => sent('unpause', request),
      signal: async (request) => sent('signal', request),
    };
  }

  #control(): Control {
    const { failure } = this;
    if (failure !== undefined) {
      const fail = async () => {
        throw new SwarmError(failure, `failure ${failure}`);
      };
      return new Proxy({}, { get: () => fail }) as Control;
    }
    return {
      ...this.#reading(),
      ...this.#services(),
      ...this.#others(),
    } as Partial<Control> as Control;
  }

  #reading(): Partial<Control> {
    const { world } = this;
    const named =
      <T extends { id: string }>(objects: () => T[], nameOf: (object: T) => string) =>
      async ({ filter }: { filter: ListFilter }, call: Call) => {
        if (call.stale === true) call.onState?.({ index: 100, ageMs: 12_345 });
        return objects().filter((object) =>
          matches(filter, { id: object.id, name: nameOf(object) }),
        );
      };
    const specName = (object: { spec: { name: string } }): string => object.spec.name;
    return {
      listServices: named(() => world.services, specName),
      listNodes: named(
        () => world.nodes,
        (node) => node.description?.hostname ?? '',
      ),
      listNetworks: named(() => world.networks, specName),
      listSecrets: named(() => world.secrets, specName),
      listConfigs: named(() => world.configs, specName),
      listTasks: async ({ filter }) =>
        world.tasks.filter(
          (task) =>
            (filter.serviceIds?.includes(task.serviceId) ?? true) &&
            (filter.nodeIds?.some((id) => id === task.nodeId) ?? true) &&
            matches(filter, { id: task.id, name: `${task.serviceName}.${task.slot}` }),
        ),
      listServiceCounts: async ({ serviceIds }) =>
        serviceIds.map((serviceId) => {
          const tasks = world.tasks.filter((task) => task.serviceId === serviceId);
          const wanted = tasks.filter((task) => task.desiredState === 'running');
          const running = wanted.filter((task) => task.status.state === 'running');
          const completed = tasks.filter((task) => task.status.state === 'complete').length;
          return { serviceId, desired: wanted.length, running: running.length, completed };
        }),
      listServiceWaits: async ({ serviceId }) => someWaits(this.#stored(serviceId)),
      listNodeVerdicts: async () => someVerdicts(),
      getService: async ({ id }) => this.#stored(id),
      getCluster: async () => world.cluster,
    };
  }

  #stored(id: string): Service {
    const stored = this.world.services.find((service) => service.id === id);
    if (stored === undefined) throw new SwarmError('not-found', `no such service: ${id}`);
    return stored;
  }

  /** Becomes what it should be at once, unless its image is "broken"; a "shaky" one is so a moment later. */
  #become(next: Service): Service {
    const { world } = this;
    const { image } = next.spec.task.container;
    const isBroken = image.includes('broken');
    const updateStatus = { state: 'paused', startedAt: NOW, message: '1 task failed' } as const;
    const settled = /broken|shaky/.test(image) ? { ...next, updateStatus } : next;
    world.services = [...world.services.filter(({ id }) => id !== next.id), settled];
    const { mode } = next.spec;
    const count =
      mode.kind === 'replicated'
        ? mode.replicas
        : mode.kind === 'replicated-job'
          ? mode.totalCompletions
          : 2;
    const tasks: Task[] = Array.from({ length: count }, (_, i) =>
      task(next, {
        slot: i + 1,
        name: `${next.spec.name}${i + 1}`,
        ...(isJob(mode) ? { state: 'complete' } : {}),
        ...(isBroken ? { state: 'failed', error: 'image broken:\n  no such file' } : {}),
      }),
    );
    world.tasks = [...world.tasks.filter(({ serviceId }) => serviceId !== next.id), ...tasks];
    return settled;
  }

  #services(): Partial<Control> {
    return {
      createService: async ({ spec, registryAuth }) => {
        this.#sent('createService', spec);
        if (registryAuth !== undefined) {
          this.#print(`  with credentials ${Buffer.from(registryAuth).toString()}`);
        }
        return this.#become(service(spec, 20));
      },
      updateService: async ({ id, version, spec, rollback, rollbackTo, ...more }) => {
        const stored = this.#stored(id);
        if (version !== stored.meta.version)
          throw new SwarmError('out-of-date', 'changed meanwhile');
        if (more.run === true) {
          this.#print(`updateService ${stored.spec.name}: run`);
          return this.#become(stored);
        }
        if (more.continueUpdate === true) {
          this.#print(`updateService ${stored.spec.name}: continue`);
          return this.#become({ ...stored, updateStatus: atTheNextStep() });
        }
        if (spec === undefined) {
          const to = rollbackTo === undefined ? '' : ` to ${rollbackTo}`;
          this.#print(`updateService ${stored.spec.name}: rollback ${rollback}${to}`);
          const updateStatus = {
            state: 'rollback-completed',
            startedAt: NOW,
            message: '',
          } as const;
          return this.#become({ ...stored, updateStatus });
        }
        this.#changed(`updateService ${stored.spec.name}`, stored.spec, spec);
        return this.#become(service(spec, version + 1));
      },
      preview: async (write) => {
        if (write.kind === 'update-service' && write.spec !== undefined) {
          this.#changed('preview update-service', this.#stored(write.id).spec, write.spec);
        } else this.#sent('preview', write);
        return aPreview();
      },
      removeService: async ({ id }) => {
        this.#print(`removeService ${this.#stored(id).spec.name}`);
        this.world.services = this.world.services.filter((service) => service.id !== id);
      },
    };
  }

  #others(): Partial<Control> {
    const { world } = this;
    return {
      updateNode: async ({ id, spec }) => {
        const node = world.nodes.find((candidate) => candidate.id === id);
        if (node === undefined) throw new SwarmError('not-found', 'no such node');
        this.#changed(`updateNode ${node.description?.hostname}`, node.spec, spec);
        return node;
      },
      removeNode: async ({ id, force }) => {
        const node = world.nodes.find((candidate) => candidate.id === id);
        if (node?.status.state !== 'down' && !force)
          throw new SwarmError(
            'failed-precondition',
            'the node is up: stop it first, or use --force',
          );
        this.#print(`removeNode ${node?.description?.hostname}`);
      },
      createNetwork: async ({ spec }) => {
        this.#sent('createNetwork', spec);
        const [old] = world.networks;
        if (old === undefined) throw new Error('the world has a network');
        return { ...old, id: asId('network', `new${spec.name}`), spec: networkSpec.parse(spec) };
      },
      updateNetwork: async (request) => {
        this.#sent('updateNetwork', request);
        const [old] = world.networks;
        if (old === undefined) throw new Error('the world has a network');
        return { ...old, spec: request.spec };
      },
      removeNetwork: async () => {
        throw new SwarmError('failed-precondition', 'network demo is used by service web');
      },
      createSecret: async ({ spec }) => {
        this.#sent('createSecret', { ...spec, data: Buffer.from(spec.data).toString() });
        return {
          id: asId('secret', 'newsecret'),
          meta: { version: 1, createdAt: NOW, updatedAt: NOW },
          spec: secretSpec.parse(spec),
          number: 1,
        };
      },
      updateSecret: async ({ id, spec, ...rest }) => {
        const data = Buffer.from(spec.data).toString();
        this.#sent('updateSecret', { id, ...rest, spec: { ...spec, data } });
        const [old] = world.secrets;
        if (old === undefined) throw new Error('the world has a secret');
        const next = { ...old, id: asId('secret', 'nextsecret'), number: 2 };
        world.secrets = [{ ...old, replacedAt: NOW }, next];
        const users = world.services.filter(
          ({
            spec: {
              task: { container },
            },
          }) => container.secrets.some((one) => one.id === id),
        );
        for (const { spec: was, meta } of users) {
          const secrets = [{ id: next.id, name: 'key', target: 'key' }];
          const container = { ...was.task.container, secrets };
          this.#become(service({ ...was, task: { ...was.task, container } }, meta.version + 1));
        }
        return next;
      },
      removeSecret: async ({ id }) => this.#print(`removeSecret ${id}`),
      updateCluster: async (request) => {
        this.#sent('updateCluster', request);
        const joinTokens = { worker: 'SWMTKN-worker-2', manager: 'SWMTKN-manager-2' };
        return { ...world.cluster, rootCa: { ...world.cluster.rootCa, joinTokens } };
      },
    };
  }

  async *#logs() {
    for (const [i, stream] of (['stdout', 'stderr'] as const).entries()) {
      const [task] = this.world.tasks;
      if (task?.nodeId === undefined) return;
      const { id: taskId, nodeId, serviceId } = task;
      const data = new TextEncoder().encode(`line ${i + 1} on ${stream}`);
      const columns = logColumns([{ stream, timestamp: NOW + i + 0.25, data }]);
      const attributes = { tag: 'a tag', 'com.example': 'yes' };
      const notice = stream === 'stderr' ? 'lines are missing here' : '';
      yield { ...columns, taskId, nodeId, serviceId, attributes, cursor: `${i}`, notice };
    }
  }
}

function matches(filter: ListFilter, { id, name }: Named): boolean {
  return (
    (filter.ids?.includes(id) ?? true) &&
    (filter.names?.includes(name) ?? true) &&
    (filter.idPrefixes?.some((prefix) => id.startsWith(prefix)) ?? true)
  );
}

function leaves(value: unknown, path = ''): [string, string][] {
  const isBranch = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isBranch)
    return typeof value === 'object' || value === undefined ? [] : [[path, inspect(value)]];
  return Object.entries(value).flatMap(([key, part]) =>
    leaves(part, path === '' ? key : `${path}.${key}`),
  );
}

/** An update that was let go on as far as its next canary step. */
function atTheNextStep(): NonNullable<Service['updateStatus']> {
  const message = 'step 2 of 2: 2 of 3 tasks run the new spec; waits for approval';
  return {
    state: 'updating',
    startedAt: NOW,
    message,
    canary: { passed: 1, waitsSince: NOW },
  };
}
