/**
 * The network plane of a host: keeps the newest state, brings the kernel to it one run at a time,
 * and makes containers' namespaces meanwhile. What should be there is decided in `desired/`.
 */
import { join } from 'node:path';

import { abortReason, errorMessage, SwarmError, withDeadline, type Timer } from '@swarmd/base';
import type { NetworkId, NetworkState, Task, TaskId } from '@swarmd/model';

import { clearHost, prepareHost } from './apply/base.ts';
import { Coalescer } from './apply/coalescer.ts';
import { passForeignFirewall } from './apply/firewall.ts';
import { listNetns, runSteps } from './apply/kernel.ts';
import { Notes } from './apply/notes.ts';
import { mtuOfAddress, observe } from './apply/observe.ts';
import { firstHost } from './desired/addresses.ts';
import {
  attachmentOf,
  attachSteps,
  isInternal,
  type AttachmentNote,
  linkRemovalSteps,
} from './desired/attachment.ts';
import { diffObjects } from './desired/diff-objects.ts';
import { taskNetns, taskOfNetns } from './desired/names.ts';
import type { KernelObjects } from './desired/kernel-object.ts';
import { desiredObjects } from './desired/objects.ts';
import { indexState, type StateIndex } from './desired/state-index.ts';
import { HostFirewall } from './host-firewall.ts';
import {
  APPLY_TIMEOUT_MS,
  ATTACH_WAIT_MS,
  DEFAULT_UNDERLAY_MTU,
  FORGETS_AT_ONCE,
  GUARD_PERIOD_MS,
  NAMESPACES_AT_ONCE,
} from './limits.ts';
import { LocalTask } from './local-task.ts';
import { NameService } from './name-service.ts';
import { forEachTask, removeNamespace } from './namespaces.ts';
import type { NetworkAttachment, NetworkPlane, NetworkPlaneOptions } from './types.ts';

/** Re-adopts the namespaces of an earlier life; the kernel is not touched before the first state. */
export async function createNetworkPlane(options: NetworkPlaneOptions): Promise<NetworkPlane> {
  const plane = new HostPlane(options, await Notes.open(options.runDir));
  await plane.restore();
  return plane;
}

class HostPlane implements NetworkPlane {
  readonly #options: NetworkPlaneOptions;
  readonly #notes: Notes;
  readonly #folder: string;
  readonly #tasks = new Map<TaskId, LocalTask>();
  readonly #reconciler = new Coalescer(() => this.#reconcile());
  readonly #forgetter = new Coalescer(() =>
    forEachTask(this.#tasks.values(), FORGETS_AT_ONCE, (task) => task.forget()),
  );
  readonly #firewall: HostFirewall;
  readonly #names: NameService;
  /** The newest state we were given. */
  #wanted: StateIndex | undefined;
  /** Networks whose devices exist and are not about to be removed. */
  #usable: ReadonlySet<NetworkId> = new Set();
  /** What the kernel has of ours; undefined when that must be looked up. */
  #objects: KernelObjects | undefined;
  #underlay: { readonly address: string; readonly mtu: number } | undefined;
  #prepared = false;
  /** True once some state was programmed completely. */
  #ready = false;
  #closed = false;
  #guardTimer: Timer | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #removals = new Set<Promise<void>>();

  constructor(options: NetworkPlaneOptions, notes: Notes) {
    this.#options = options;
    this.#notes = notes;
    this.#folder = join(options.runDir, 'network');
    const wanted = (): StateIndex | undefined => this.#wanted;
    const tasks = (): Iterable<AttachmentNote> => [...this.#tasks.values()].map(({ note }) => note);
    this.#firewall = new HostFirewall({ wanted, tasks, controlPorts: options.controlPorts });
    this.#names = new NameService({ ...options, wanted, tasks });
  }

  async restore(): Promise<void> {
    const namespaces = new Set(await listNetns());
    for (const note of await this.#notes.list()) {
      if (namespaces.delete(taskNetns(note.taskId))) {
        this.#tasks.set(note.taskId, new LocalTask(note, () => this.#wanted));
      } else {
        await this.#notes.remove(note.taskId);
      }
    }
    for (const name of namespaces) {
      if (taskOfNetns(name) === undefined) continue;
      this.#options.logger.info({ name }, 'removing a namespace that was never completed');
      await runSteps([{ kind: 'delete-netns', name }]);
    }
  }

  async apply(state: NetworkState, signal: AbortSignal): Promise<void> {
    this.#assertOpen();
    this.#wanted = indexState(state);
    const what = 'programming the network of this node';
    const { clock } = this.#options;
    await withDeadline({ clock, timeoutMs: APPLY_TIMEOUT_MS, what, signal }, () =>
      this.#reconciler.request(),
    );
  }

  async attach(task: Task, signal: AbortSignal): Promise<NetworkAttachment> {
    this.#assertOpen();
    const local = this.#tasks.get(task.id) ?? (await this.#start(task, signal));
    await local.made;
    return local.attachment;
  }

  async detach(taskId: TaskId, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortReason(signal);
    const local = this.#tasks.get(taskId);
    if (local === undefined) {
      // Never ours, or already gone; a namespace without a note is removed all the same.
      const name = taskNetns(taskId);
      if ((await listNetns()).includes(name)) await runSteps([{ kind: 'delete-netns', name }]);
      return;
    }
    await local.made.catch(() => undefined);
    local.leaving = true;
    await this.#notes.remove(taskId);
    this.#tasks.delete(taskId);
    this.#names.forgetViews();
    await removeNamespace(taskId);
    this.#removeLinks(local.note);
    await this.#afterDetach(local.note);
  }

  attached(signal: AbortSignal): Promise<readonly TaskId[]> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    return Promise.resolve([...this.#tasks.keys()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#guardTimer?.cancel();
    this.#wake();
    await this.#reconciler.idle();
    await this.#forgetter.idle();
    await Promise.all(this.#removals);
    await Promise.allSettled([...this.#tasks.values()].map(({ made }) => made));
    await this.#names[Symbol.asyncDispose]();
  }

  async destroy(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#tasks.clear();
    await clearHost(this.#folder, this.#options.logger);
  }

  #assertOpen(): void {
    if (this.#closed) throw new SwarmError('unavailable', 'the network plane was stopped');
  }

  /** Registers the task before anything is awaited, so that its networks are kept from now on. */
  async #start(task: Task, signal: AbortSignal): Promise<LocalTask> {
    const note = await this.#whenUsable(task, signal);
    const other = this.#tasks.get(task.id);
    if (other !== undefined) return other;
    const local = new LocalTask(note, () => this.#wanted);
    this.#tasks.set(task.id, local);
    this.#names.forgetViews();
    local.made = this.#make(local).catch(async (cause: unknown) => {
      this.#tasks.delete(task.id);
      this.#names.forgetViews();
      const message = `cannot make the network of task ${task.id}: ${errorMessage(cause)}`;
      throw new SwarmError('internal', message, { cause });
    });
    return local;
  }

  async #make(local: LocalTask): Promise<void> {
    const index = this.#wanted;
    if (index === undefined) throw new SwarmError('unavailable', 'no network state yet');
    const program = local.programFor(index);
    const steps = attachSteps(local.note, index.state.self.gatewaySubnet, program);
    try {
      await runSteps(steps).catch(async (error: unknown) => {
        // Leftovers of an earlier life with the same names; a second failure is a real one.
        this.#options.logger.warn({ error: errorMessage(error) }, 'making a namespace again');
        await this.#unmake(local.note);
        await runSteps(steps);
      });
      local.madeWith(program, index);
      await this.#notes.write(local.note);
      if (isInternal(local.note)) await this.#firewall.sync();
      if (this.#wanted !== index) await local.sync();
    } catch (error) {
      await this.#unmake(local.note);
      await this.#notes.remove(local.note.taskId);
      throw error;
    }
  }

  /** Takes away what a failed attempt left, so that the names can be used again. */
  async #unmake(note: AttachmentNote): Promise<void> {
    await removeNamespace(note.taskId);
    await runSteps(linkRemovalSteps(note));
  }

  /** Behind the detach: each link costs the kernel some 20 ms of waiting for its readers. */
  #removeLinks(note: AttachmentNote): void {
    const removal = runSteps(linkRemovalSteps(note))
      .catch((error: unknown) => {
        this.#options.logger.warn({ error: errorMessage(error) }, 'removing links failed');
      })
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  /** Waits for the state that names the task's networks, and for their devices. */
  async #whenUsable(task: Task, signal: AbortSignal): Promise<AttachmentNote> {
    const { gatewayAddress } = task;
    if (gatewayAddress === undefined) {
      const message = `task ${task.id} has no gateway address: it was not given to a node yet`;
      throw new SwarmError('failed-precondition', message);
    }
    const { clock } = this.#options;
    const what = `waiting for the networks of task ${task.id} on this node`;
    return withDeadline({ clock, timeoutMs: ATTACH_WAIT_MS, what, signal }, async (signal) => {
      for (;;) {
        if (signal.aborted) throw abortReason(signal);
        this.#assertOpen();
        const note = this.#noteIfUsable({ ...task, gatewayAddress });
        if (note !== undefined) return note;
        await new Promise<void>((resolve) => {
          this.#waiting.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    });
  }

  #noteIfUsable(task: Task & { gatewayAddress: string }): AttachmentNote | undefined {
    const ready = task.networks.every(({ networkId }) => this.#usable.has(networkId));
    if (!ready || !this.#ready || this.#wanted === undefined || this.#underlay === undefined)
      return undefined;
    return attachmentOf(task, this.#wanted, this.#underlay.mtu);
  }

  async #afterDetach(note: AttachmentNote): Promise<void> {
    if (this.#closed || this.#wanted === undefined) return;
    if (isInternal(note)) await this.#firewall.sync();
    const known = this.#wanted.networks;
    const stale = note.networks.some(({ networkId }) => !known.has(networkId));
    if (stale) await this.#reconciler.request();
  }

  async #reconcile(): Promise<void> {
    try {
      await this.#program();
    } catch (error) {
      // The kernel is not what we thought: look, and repair only what differs.
      this.#options.logger.warn({ error: errorMessage(error) }, 'programming the network again');
      this.#objects = undefined;
      this.#prepared = false;
      this.#firewall.distrust();
      await this.#program();
    }
  }

  async #program(): Promise<void> {
    const index = this.#wanted;
    if (index === undefined) return;
    if (!this.#prepared) await prepareHost(this.#folder);
    this.#prepared = true;
    await this.#programObjects(index);
    const tasks = this.#tasks.values();
    await Promise.all([
      this.#firewall.sync(),
      forEachTask(tasks, NAMESPACES_AT_ONCE, (task) => task.sync()),
    ]);
    this.#forgetConnections();
    await this.#names.update(firstHost(index.state.self.gatewaySubnet));
    if (this.#guardTimer === undefined) await this.#guard();
    this.#usable = new Set(index.networks.keys());
    this.#ready = true;
    this.#wake();
  }

  /** Behind everything else: what was programmed is right already, this only speeds up goodbyes. */
  #forgetConnections(): void {
    this.#forgetter.request().catch((error: unknown) => {
      this.#options.logger.warn({ error: errorMessage(error) }, 'forgetting connections failed');
    });
  }

  async #programObjects(index: StateIndex): Promise<void> {
    const underlayMtu = await this.#underlayMtu(index.state.self.address);
    const current = this.#objects ?? (await observe());
    const lingering = this.#lingering(index);
    const wanted = desiredObjects({ state: index.state, underlayMtu, lingering });
    this.#usable = new Set([...this.#usable].filter((id) => index.networks.has(id)));
    const steps = diffObjects(current, wanted);
    this.#objects = undefined;
    await runSteps(steps);
    this.#objects = wanted;
  }

  /** Networks of local containers that the state does not name any more. */
  #lingering(index: StateIndex): { vni: number; mtu: number }[] {
    const networks = [...this.#tasks.values()]
      .flatMap(({ note }) => note.networks)
      .filter(({ networkId }) => !index.networks.has(networkId));
    return [...new Map(networks.map((network) => [network.vni, network])).values()];
  }

  async #underlayMtu(address: string): Promise<number> {
    if (this.#underlay?.address !== address) {
      const mtu =
        this.#options.underlay?.mtu ?? (await mtuOfAddress(address)) ?? DEFAULT_UNDERLAY_MTU;
      this.#underlay = { address, mtu };
    }
    return this.#underlay.mtu;
  }

  /** Foreign firewalls come, go and flush: looks after our rules from time to time. */
  async #guard(): Promise<void> {
    const index = this.#wanted;
    if (this.#closed || index === undefined) return;
    const { gatewaySubnet } = index.state.self;
    const gateway = firstHost(gatewaySubnet);
    try {
      await passForeignFirewall({ gateway, vxlanPort: index.state.vxlanPort });
      await this.#firewall.check();
      await this.#names.update(gateway);
    } catch (error) {
      this.#options.logger.warn(
        { error: errorMessage(error) },
        'looking after the firewall failed',
      );
    }
    if (this.#closed) return;
    this.#guardTimer = this.#options.clock.after(GUARD_PERIOD_MS, () => void this.#guard(), {
      unref: true,
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
