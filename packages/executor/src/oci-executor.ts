/**
 * The executor on a real machine: owns the table of containers and the order of their steps. One
 * operation that changes a container runs at a time; waiting and reading take no turn.
 */
import { mkdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock, type Logger, type Scope } from '@swarmd/base';

import {
  logPlan,
  sameLimits,
  type ContainerSpec,
  type HealthcheckSpec,
  type LogChunk,
  type LogPlan,
  type MountSpec,
  type NodePlugin,
  type ResourceLimits,
} from '@swarmd/model';

import type { ExitWatch } from './container/exit-watch.ts';
import { effectiveHealthcheck } from './container/healthcheck.ts';
import { KeyedLock } from './container/keyed-lock.ts';
import { changeLimits } from './container/limits.ts';
import { LiveContainer } from './container/live.ts';
import { ContainerPaths, type ExecutorFolders } from './container/paths.ts';
import { createFromRequest, requireImage, type PrepareContext } from './container/prepare.ts';
import { stopSignal } from './container/process.ts';
import { checkContainerId, writeRecord, type ContainerRecord } from './container/record.ts';
import { restoreContainers } from './container/restore.ts';
import { tearDown } from './container/teardown.ts';
import type { Puller } from './image/puller.ts';
import { canonicalReference, parseReference } from './image/reference.ts';
import type { ImageStore } from './image/store.ts';
import { KILL_TIMEOUT_MS, SHIP_PATIENCE_MS } from './limits.ts';
import { logAttributes } from './logs/log-attributes.ts';
import { LogKeeper, type KeptLog } from './logs/log-keeper.ts';
import { readLog } from './logs/log-reader.ts';
import type { LogShippers } from './logs/shipper/log-shippers.ts';
import { execInContainer } from './oci/exec.ts';
import { identify, signalProcess } from './oci/proc.ts';
import type { Runtimes } from './oci/runtime.ts';
import type {
  ContainerExit,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  ExecResult,
  Executor,
  LogOptions,
  Images,
  PullOptions,
  Volumes,
  Workbench,
} from './types.ts';
import { pluginsOf } from './plugins.ts';
import { OciWorkbench } from './workbench/workbench.ts';

/** What `--log-driver` and `--log-opt` would say of containers that have neither. */
export interface LogDefaults {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

/** What `createExecutor` puts together. */
export interface ExecutorParts extends Omit<PrepareContext, 'runtime'> {
  /** Folder of volume plugins' sockets. */
  readonly pluginsDir: string;
  readonly folders: ExecutorFolders;
  readonly bootId: string;
  readonly store: ImageStore;
  readonly puller: Puller;
  readonly images: Images;
  readonly containers: Map<string, LiveContainer>;
  readonly exits: ExitWatch;
  readonly scope: Scope;
  readonly shippers: LogShippers;
  /** Of containers that say nothing of their log. */
  readonly logDefaults: LogDefaults;
  readonly runtimes: Runtimes;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class OciExecutor implements Executor, AsyncDisposable {
  readonly #parts: ExecutorParts;
  readonly #containers: Map<string, LiveContainer>;
  readonly #locks = new KeyedLock();
  readonly workbench: Workbench;
  readonly volumes: Volumes;
  readonly images: Images;
  #restored: Promise<void> | undefined;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#containers = parts.containers;
    this.volumes = parts.volumes;
    this.images = parts.images;
    this.workbench = new OciWorkbench({
      ...parts,
      container: async (id) => {
        await this.#ready();
        return this.#get(id);
      },
    });
    parts.exits.begin(parts.scope);
    const { clock, logger } = parts;
    const folder = join(parts.folders.stateDir, 'logs');
    const keeper = new LogKeeper({ folder, logs: () => this.#runningLogs(), clock, logger });
    parts.scope.spawn('rotation of logs', (signal) => keeper.run(signal));
    parts.scope.spawn('compression of logs', (signal) => keeper.pack(signal));
  }

  plugins(): readonly NodePlugin[] {
    const { pluginsDir, runtimes } = this.#parts;
    return pluginsOf({ pluginsDir, runtimes: runtimes.names });
  }

  async restore(_signal: AbortSignal): Promise<ReadonlyMap<string, ContainerPhase>> {
    await this.#ready();
    return new Map([...this.#containers].map(([id, { record }]) => [id, phaseOf(record)]));
  }

  async pull(image: string, signal: AbortSignal, options?: PullOptions): Promise<void> {
    await this.#parts.puller.pull(image, signal, options);
  }

  async prepare(request: ContainerRequest, signal: AbortSignal): Promise<void> {
    checkContainerId(request.id);
    await this.#ready();
    await this.#locks.run(request.id, async () => {
      if (this.#containers.has(request.id)) return;
      signal.throwIfAborted();
      await this.#create(request, signal);
    });
  }

  async start(id: string, signal: AbortSignal): Promise<{ pid: number }> {
    await this.#ready();
    return this.#locks.run(id, async () => {
      signal.throwIfAborted();
      const container = this.#get(id);
      if (container.record.phase === 'created') {
        await this.#parts.runtimes.of(container.record.runtime).start(id);
        // It may have ended already; its end must not be overwritten.
        if (container.record.exit === undefined) container.note({ phase: 'running' });
      }
      return { pid: container.record.process?.pid ?? 0 };
    });
  }

  async wait(id: string, signal: AbortSignal): Promise<ContainerExit> {
    await this.#ready();
    return this.#get(id).wait(signal);
  }

  async stop(id: string, options: { graceMs: number; signal: AbortSignal }): Promise<void> {
    const { graceMs, signal } = options;
    await this.#ready();
    const container = this.#containers.get(id);
    if (container === undefined || container.record.exit !== undefined) return;
    const { record } = container;
    if (record.phase === 'running' && record.process !== undefined) {
      signalProcess(record.process, record.stopSignal as NodeJS.Signals);
      this.#parts.cgroups.freeze(id, false);
      if (await this.#endsWithin(container, graceMs, signal)) return;
    }
    await this.#kill(container, signal);
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#ready();
    await this.#locks.run(id, async () => {
      const container = this.#containers.get(id);
      if (container === undefined) return;
      if (container.record.exit === undefined) await this.#kill(container, signal);
      await this.#parts.shippers.forget(id, SHIP_PATIENCE_MS);
      // Once it is not whole any more, a later life must not take it for a container.
      await container.giveUp();
      await tearDown(container, this.#parts);
      this.#containers.delete(id);
    });
  }

  async *logs(id: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogChunk> {
    await this.#ready();
    const { clock, shippers } = this.#parts;
    const source = this.#get(id).logSource(clock, shippers);
    yield* readLog(source, options, signal);
  }

  logAttributes(id: string): Readonly<Record<string, string>> {
    return this.#containers.get(id)?.record.logAttributes ?? {};
  }

  async exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    await this.#ready();
    const container = this.#get(id);
    if (container.record.phase !== 'running') {
      throw new SwarmError('failed-precondition', `container ${id} is not running`);
    }
    const { runtimes, cgroups, clock } = this.#parts;
    const { paths, record } = container;
    const runtime = runtimes.of(record.runtime);
    return execInContainer(
      { id, serial: container.nextExec(), paths, runtime, cgroups, clock },
      request,
      signal,
    );
  }

  async update(id: string, limits: ResourceLimits): Promise<void> {
    await this.#ready();
    await this.#locks.run(id, async () => {
      const container = this.#get(id);
      if (container.record.phase !== 'running') {
        throw new SwarmError('failed-precondition', `container ${id} is not running`);
      }
      if (sameLimits(limits, container.record.limits)) return;
      await changeLimits(container, limits, this.#parts.cgroups);
      await container.update({ limits });
    });
  }

  healthcheck(id: string): HealthcheckSpec | undefined {
    return this.#containers.get(id)?.record.healthcheck;
  }

  /** Stops watching; the containers run on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.scope[Symbol.asyncDispose]();
    await Promise.all([...this.#containers.values()].map((container) => container.settled()));
  }

  /** Nothing is done to containers before those of an earlier life are known. */
  #ready(): Promise<void> {
    this.#restored ??= this.#restore().catch((error: unknown) => {
      this.#restored = undefined;
      throw error;
    });
    return this.#restored;
  }

  async #restore(): Promise<void> {
    await restoreContainers(this.#parts);
    for (const container of this.#containers.values()) this.#ship(container);
  }

  #get(id: string): LiveContainer {
    const container = this.#containers.get(id);
    if (container !== undefined) return container;
    throw new SwarmError(
      'not-found',
      `there is no container ${id} on this node; it was never prepared, or removed`,
    );
  }

  async #create(request: ContainerRequest, signal: AbortSignal): Promise<void> {
    const { id, name, spec, labels, limits } = request;
    const { folders, store, bootId, exits, runtimes, logger } = this.#parts;
    const reference = canonicalReference(parseReference(spec.image));
    const image = requireImage(await store.image(reference), reference);
    // Until the container is in our table, a clean-up would not know that its image is used.
    using _pinned = store.pin(image.config.diffIds);
    await store.touch(reference, this.#parts.clock.now());
    const runtime = runtimes.of(spec.runtime);
    const paths = new ContainerPaths(folders, id);
    const plan = this.#logPlan(spec);
    const record: ContainerRecord = {
      id,
      name,
      image: spec.image,
      reference,
      layers: [...image.layers],
      labels,
      phase: 'creating',
      bootId,
      stopSignal: stopSignal(spec, image.config),
      runtime: spec.runtime,
      logPlan: plan,
      logAttributes: logAttributes(plan, request, image),
      volumes: namedVolumes(spec.mounts),
      healthcheck: effectiveHealthcheck(spec.healthcheck, image.config.healthcheck),
      limits,
    };
    await mkdir(paths.state, { recursive: true, mode: 0o700 });
    await writeRecord(paths.record, record);
    const container = new LiveContainer(paths, record, logger);
    try {
      mkdirSync(paths.bundle, { recursive: true, mode: 0o700 });
      const created = await createFromRequest(
        { request, image, paths, isLogged: plan.driver !== 'none' },
        { ...this.#parts, runtime },
        signal,
      );
      const process = identify(created.pid);
      const monitor = identify(created.monitorPid);
      if (process === undefined || monitor === undefined) {
        throw new SwarmError('internal', `container ${id} died while it was created`);
      }
      await container.update({ phase: 'created', process, monitor });
      this.#containers.set(id, container);
      this.#ship(container);
      void created.gone.then(() => exits.notice(container));
    } catch (error) {
      await tearDown(container, this.#parts);
      throw error;
    }
  }

  /** A service that names no driver has the node's, with the node's options where it has none itself. */
  #logPlan({ log }: ContainerSpec): LogPlan {
    const { driver, options } = this.#parts.logDefaults;
    if (log.driver !== '' && log.driver !== driver) return logPlan(log.driver, log.options);
    return logPlan(driver, { ...options, ...log.options });
  }

  /** Its log goes on to where its driver says, from where an earlier life was. */
  #ship(container: LiveContainer): void {
    if (!container.isShipped) return;
    const { shippers } = this.#parts;
    shippers.begin(container.shipJob, container.record.exit !== undefined);
    void container.ended.then(() => shippers.end(container.id));
  }

  async #kill(container: LiveContainer, signal: AbortSignal): Promise<void> {
    const { process } = container.record;
    if (process !== undefined) signalProcess(process, 'SIGKILL');
    // A frozen process does not even notice SIGKILL (cgroups version 1).
    this.#parts.cgroups.freeze(container.id, false);
    this.#parts.exits.notice(container);
    if (await this.#endsWithin(container, KILL_TIMEOUT_MS, signal)) return;
    throw new SwarmError(
      'deadline-exceeded',
      `container ${container.id} did not end within ${KILL_TIMEOUT_MS} ms of being killed; one of its processes hangs in the kernel`,
    );
  }

  async #endsWithin(container: LiveContainer, ms: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#parts;
    const controller = new AbortController();
    const either = AbortSignal.any([signal, controller.signal]);
    const timer = clock.after(ms, () => controller.abort());
    try {
      await container.wait(either);
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      return false;
    } finally {
      timer.cancel();
    }
  }

  *#runningLogs(): Generator<KeptLog> {
    for (const { id, paths, record, log, isShipped } of this.#containers.values()) {
      if (record.phase !== 'running' || log.driver === 'none') continue;
      yield { id, path: paths.log, bundle: paths.bundle, spool: log.spool, isShipped };
    }
  }
}

function namedVolumes(mounts: readonly MountSpec[]): string[] {
  return mounts.flatMap(({ kind, source }) => (kind === 'volume' && source !== '' ? [source] : []));
}

function phaseOf(record: ContainerRecord): ContainerPhase {
  if (record.phase === 'creating') return 'created';
  return record.phase === 'removing' ? 'exited' : record.phase;
}
