/**
 * From the commit of a change to the last node's kernel: a lab of 3 managers and 2 workers, a container on
 * each, and a service whose tasks come and go. What the kernels do is told by `nft monitor`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { loadavg } from 'node:os';
import { createInterface } from 'node:readline';

import { openCluster, type ClusterClient } from '@swarmd/client';
import { Lab, waitUntil, type Host } from '@swarmd/lab';
import {
  isTerminal,
  type NetworkId,
  type Service,
  type ServiceSpecInput,
  type Task,
} from '@swarmd/model';

import { print, quantile } from '../statistics.ts';

const WAIT_MS = 60_000;
const TARGET_MS = 250;
const REPLICAS = 2;
const call = (): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(WAIT_MS),
  timeoutMs: WAIT_MS,
});

export async function benchChanges(runs: number): Promise<void> {
  const lab = new Lab({ name: 'bench', managers: 3, workers: 2 });
  await lab.down();
  try {
    await lab.up();
    using client = openCluster(`/proc/${lab.host('m1').initPid}/root/run/swarmd/control.sock`);
    await new ChangesBench(lab, client).run(runs);
  } finally {
    await lab.down();
  }
}

/** A table of one container, as its kernel says it is. */
class Listener implements Disposable {
  readonly #process: ChildProcess;
  readonly #chain: string;
  /** Since when the chain has named these addresses. */
  #rule = '';
  #at = 0;

  constructor(host: Host, netns: string, chain: string) {
    this.#chain = chain;
    const enter = ['--target', String(host.initPid), '--mount', '--net'];
    const argv = [...enter, 'nsenter', `--net=/run/netns/${netns}`, 'nft', 'monitor'];
    const child = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line));
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }

  get hasHeard(): boolean {
    return this.#rule !== '';
  }

  /** When the chain began (or ceased) to name the address; undefined while it has not. */
  since(address: string, isWanted: boolean): number | undefined {
    const names = new RegExp(`[ :]${address.replaceAll('.', '\\.')}\\b`).test(this.#rule);
    return this.#rule !== '' && names === isWanted ? this.#at : undefined;
  }

  #hear(line: string): void {
    if (!line.startsWith('add rule ') || !line.includes(` ${this.#chain} `)) return;
    this.#rule = line;
    this.#at = Date.now();
  }
}

class ChangesBench {
  readonly #lab: Lab;
  readonly #client: ClusterClient;
  /** The newest of each task, as it was committed. */
  readonly #tasks = new Map<string, Task>();
  /** The commits that made a task a backend, and unmade it. */
  readonly #began = new Map<string, number>();
  readonly #ended = new Map<string, number>();

  constructor(lab: Lab, client: ClusterClient) {
    this.#lab = lab;
    this.#client = client;
  }

  async run(runs: number): Promise<void> {
    const { control } = this.#client;
    const ended = new AbortController();
    const watching = this.#follow(ended.signal);
    const { id: network } = await control.createNetwork({ spec: { name: 'changes' } }, call());
    const create = (name: string, mode: ServiceSpecInput['mode']): Promise<Service> =>
      control.createService({ spec: this.#spec(name, mode, network) }, call());
    await create('asker', { kind: 'global' });
    const target = await create('target', { kind: 'replicated', replicas: REPLICAS });
    const nodes = this.#lab.nodes.length;
    const askers = await this.#until('a container on every node', () => {
      const found = this.#running('asker');
      const isReady = found.length === nodes && this.#runningTarget(REPLICAS) !== undefined;
      return isReady ? found : undefined;
    });
    using listeners = new DisposableStack();
    const chain = await this.#chainOf(target);
    const all = await Promise.all(
      askers.map(async (task) => {
        const host = await this.#hostOf(task);
        return listeners.use(new Listener(host, `swt-${task.id}`, chain));
      }),
    );
    const delays: Record<'comes' | 'goes', number[]> = { comes: [], goes: [] };
    await this.#warmUp(target, all);
    for (let round = 0; round < runs; round += 1) {
      delays.comes.push(await this.#comes(target, all));
      delays.goes.push(await this.#goes(target, all));
    }
    for (const [what, values] of Object.entries(delays)) {
      print('network', {
        metric: `a backend ${what}, from its commit to the last of ${nodes} nodes`,
        unit: 'ms',
        values,
        p95Target: TARGET_MS,
        withinTarget: quantile(values, 0.95) <= TARGET_MS,
        load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
      });
    }
    ended.abort();
    await watching;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const request = { tables: ['task'], includeExisting: true } as const;
    try {
      const stream = this.#client.watch.watch(request, { signal });
      for await (const { changes } of stream) {
        for (const change of changes) {
          if (change.table !== 'task') continue;
          if (change.kind === 'put') this.#note(change.object);
          else this.#tasks.delete(change.id);
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #note(task: Task): void {
    const { id, meta, desiredState } = task;
    this.#tasks.set(id, task);
    if (isRunning(task)) this.#began.set(id, this.#began.get(id) ?? meta.updatedAt);
    if (desiredState !== 'running') this.#ended.set(id, this.#ended.get(id) ?? meta.updatedAt);
  }

  async #comes(target: Service, listeners: readonly Listener[]): Promise<number> {
    await this.#scale(target, REPLICAS + 1);
    const tasks = await this.#until('a task more', () => this.#runningTarget(REPLICAS + 1));
    const began = tasks.map((task) => ({ task, at: this.#began.get(task.id) ?? 0 }));
    const newest = began.toSorted((a, b) => b.at - a.at)[0];
    if (newest === undefined) throw new Error('no task runs');
    return this.#delay(newest, listeners, true);
  }

  async #goes(target: Service, listeners: readonly Listener[]): Promise<number> {
    const before = this.#running('target');
    await this.#scale(target, REPLICAS);
    const gone = await this.#until('a task to be told to stop', () => {
      const task = before.find(({ id }) => this.#ended.has(id));
      return task === undefined ? undefined : { task, at: this.#ended.get(task.id) ?? 0 };
    });
    const delay = await this.#delay(gone, listeners, false);
    await this.#until('a task less', () => this.#runningTarget(REPLICAS));
    return delay;
  }

  /** From the commit until the last kernel has it. */
  async #delay(
    { task, at }: { task: Task; at: number },
    listeners: readonly Listener[],
    isWanted: boolean,
  ): Promise<number> {
    const address = task.networks[0]?.address.split('/')[0] ?? '';
    const times = await this.#until(`all nodes to know of ${address}`, () => {
      const found = listeners.map((one) => one.since(address, isWanted));
      return found.every((time) => time !== undefined) ? found : undefined;
    });
    return Math.max(...times) - at;
  }

  /** Until all monitors have heard of something, which they do not if they began too late. */
  async #warmUp(target: Service, listeners: readonly Listener[]): Promise<void> {
    while (!listeners.every((one) => one.hasHeard)) {
      await this.#scale(target, REPLICAS + 1);
      await this.#until('a task more', () => this.#runningTarget(REPLICAS + 1));
      await this.#scale(target, REPLICAS);
      await this.#until('a task less', () => this.#runningTarget(REPLICAS));
    }
  }

  async #scale({ id }: Service, replicas: number): Promise<void> {
    const { meta, spec } = await this.#client.control.getService({ id }, call());
    const mode = { kind: 'replicated', replicas } as const;
    const request = { id, version: meta.version, spec: { ...spec, mode }, rollback: false };
    await this.#client.control.updateService(request, call());
  }

  #running(name: string): Task[] {
    return [...this.#tasks.values()].filter((task) => task.serviceName === name && isRunning(task));
  }

  /** All tasks of the target, when there are so many and no other. */
  #runningTarget(count: number): Task[] | undefined {
    const live = [...this.#tasks.values()].filter(
      ({ serviceName, status }) => serviceName === 'target' && !isTerminal(status.state),
    );
    return live.length === count && live.every(isRunning) ? live : undefined;
  }

  async #chainOf({ id }: Service): Promise<string> {
    const { endpoint } = await this.#client.control.getService({ id }, call());
    const address = endpoint.virtualIps[0]?.address.split('/')[0] ?? '';
    return `vip_${address.replaceAll('.', '_')}`;
  }

  async #hostOf({ nodeId }: Task): Promise<Host> {
    const nodes = await this.#client.control.listNodes({ filter: {} }, call());
    const address = nodes.find(({ id }) => id === nodeId)?.status.address;
    const host = this.#lab.nodes.find(({ place }) => place.address === address);
    if (host === undefined) throw new Error(`no host of node ${nodeId}`);
    return host;
  }

  #spec(name: string, mode: ServiceSpecInput['mode'], network: NetworkId): ServiceSpecInput {
    const image = `${this.#lab.layout.registryEndpoint}/busybox:1`;
    return {
      name,
      mode,
      task: {
        container: { image, args: ['sleep', '100000'], stopGracePeriodMs: 0 },
        networks: [{ target: network }],
        restart: { delayMs: 0 },
      },
    };
  }

  #until<T>(what: string, probe: () => T | undefined): Promise<T> {
    return waitUntil({ what, timeoutMs: WAIT_MS }, probe);
  }
}

function isRunning({ status, desiredState }: Task): boolean {
  return status.state === 'running' && desiredState === 'running';
}
