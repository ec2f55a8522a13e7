/** The namespaces of this host's containers: made, found again after a restart, taken down. */
import {
  abortReason,
  errorMessage,
  SwarmError,
  withDeadline,
  type Clock,
  type Logger,
} from '@swarmd/base';
import type { Task, TaskId } from '@swarmd/model';

import { runSteps } from './apply/kernel.ts';
import { listNetns } from './apply/listing.ts';
import type { Notes } from './apply/notes.ts';
import { readResolvConf } from './apply/resolv-conf.ts';
import { attachSteps, linkRemovalSteps, type AttachmentNote } from './desired/attachment.ts';
import { taskNetns, taskOfNetns } from './desired/names.ts';
import { foreignResolver, NO_RESOLVER, ownResolver } from './desired/resolver.ts';
import type { StateIndex } from './desired/state-index.ts';
import { attachToHost } from './host-attachment.ts';
import { ATTACH_WAIT_MS } from './limits.ts';
import { LocalTask } from './local-task.ts';
import { removeNamespace } from './namespaces.ts';
import type { NetworkAttachment } from './types.ts';

export interface ContainersOptions {
  readonly notes: Notes;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The newest state. */
  readonly wanted: () => StateIndex | undefined;
  /** What the task's namespace should be; undefined while its networks are not there. */
  readonly plan: (task: PlacedTask) => AttachmentNote | 'host' | undefined;
  /** Containers came or went: said before their namespaces are made and removed. */
  readonly onChange: () => void;
  /** A container's namespace is complete; the attach waits for this. */
  readonly onMade: (note: AttachmentNote) => Promise<void>;
}

export type PlacedTask = Task & { readonly gatewayAddress: string };

export class Containers {
  readonly #options: ContainersOptions;
  readonly #tasks = new Map<TaskId, LocalTask>();
  readonly #waiting = new Set<() => void>();
  /** Links of tasks that have left. Never reject. */
  readonly #removals = new Map<TaskId, Promise<void>>();
  #closed = false;

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  get tasks(): readonly LocalTask[] {
    return [...this.#tasks.values()];
  }

  get notes(): readonly AttachmentNote[] {
    return this.tasks.map(({ note }) => note);
  }

  /** Takes over complete namespaces of an earlier life, and removes those that are half made. */
  async restore(): Promise<void> {
    const { notes, logger, wanted } = this.#options;
    const namespaces = new Set(await listNetns());
    for (const note of await notes.list()) {
      if (namespaces.delete(taskNetns(note.taskId))) {
        this.#tasks.set(note.taskId, new LocalTask(note, wanted));
      } else {
        notes.remove(note.taskId);
      }
    }
    for (const name of namespaces) {
      if (taskOfNetns(name) === undefined) continue;
      logger.info({ name }, 'removing a namespace that was never completed');
      await runSteps([{ kind: 'delete-netns', name }]);
    }
  }

  /** The task's namespace, complete. Waits for its networks. */
  async attach(task: Task, signal: AbortSignal): Promise<NetworkAttachment> {
    const local = this.#tasks.get(task.id) ?? (await this.#start(task, signal));
    if (local === 'host') return attachToHost(task);
    await local.made;
    const host = await readResolvConf();
    const { isProgrammed, namespace, addresses } = local;
    const resolver = isProgrammed ? ownResolver(task, host) : foreignResolver(task, NO_RESOLVER);
    return { namespace, addresses, resolver };
  }

  /** @returns what was removed, or undefined when the task had no namespace of ours. */
  async detach(taskId: TaskId): Promise<AttachmentNote | undefined> {
    const local = this.#tasks.get(taskId);
    if (local === undefined) {
      if ((await listNetns()).includes(taskNetns(taskId))) await removeNamespace(taskId);
      return undefined;
    }
    await local.made.catch(() => undefined);
    local.leaving = true;
    this.#options.notes.remove(taskId);
    this.#forgetTask(taskId);
    await removeNamespace(taskId);
    this.#removeLinks(local.note);
    return local.note;
  }

  /** To be called when `plan` may say more than before. */
  wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Refuses who still waits, and resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.wake();
    await Promise.allSettled([...this.tasks.map(({ made }) => made), ...this.#removals.values()]);
  }

  /** Registers the task before anything else is awaited, so that its networks are kept from now on. */
  async #start(task: Task, signal: AbortSignal): Promise<LocalTask | 'host'> {
    const note = await this.#whenUsable(task, signal);
    if (note === 'host') return note;
    const other = this.#tasks.get(task.id);
    if (other !== undefined) return other;
    const local = new LocalTask(note, this.#options.wanted);
    this.#tasks.set(task.id, local);
    this.#options.onChange();
    local.made = this.#make(local).catch((cause: unknown) => {
      this.#forgetTask(task.id);
      const message = `cannot make the network of task ${task.id}: ${errorMessage(cause)}`;
      throw new SwarmError('internal', message, { cause });
    });
    return local;
  }

  async #make(local: LocalTask): Promise<void> {
    const { notes, logger, wanted, onMade } = this.#options;
    const { note } = local;
    const index = wanted();
    if (index === undefined) throw new SwarmError('unavailable', 'no network state yet');
    const programs = local.programsFor(index);
    const steps = attachSteps(note, index.state.self.gatewaySubnet, programs);
    // The task was here before, and its links have the same names.
    await this.#removals.get(note.taskId);
    try {
      await runSteps(steps).catch(async (error: unknown) => {
        // Leftovers of an earlier life with the same names; a second failure is a real one.
        logger.warn({ error: errorMessage(error) }, 'making a namespace again');
        await unmake(note);
        await runSteps(steps);
      });
      await local.complete(index);
      local.madeWith(programs, index);
      notes.write(note);
      await onMade(note);
      if (wanted() !== index) await local.sync();
    } catch (error) {
      await unmake(note);
      notes.remove(note.taskId);
      throw error;
    }
  }

  async #whenUsable(task: Task, signal: AbortSignal): Promise<AttachmentNote | 'host'> {
    const { gatewayAddress } = task;
    if (gatewayAddress === undefined) {
      const message = `task ${task.id} has no gateway address: it was not given to a node yet`;
      throw new SwarmError('failed-precondition', message);
    }
    const { clock, plan } = this.#options;
    const what = `waiting for the networks of task ${task.id} on this node`;
    return withDeadline({ clock, timeoutMs: ATTACH_WAIT_MS, what, signal }, async (signal) => {
      for (;;) {
        if (signal.aborted) throw abortReason(signal);
        if (this.#closed) throw new SwarmError('unavailable', 'the network plane was stopped');
        const note = plan({ ...task, gatewayAddress });
        if (note !== undefined) return note;
        await this.#nextWake(signal);
      }
    });
  }

  #nextWake(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #forgetTask(taskId: TaskId): void {
    this.#tasks.delete(taskId);
    this.#options.onChange();
  }

  /** Behind the detach: each link costs the kernel some 20 ms of waiting for its readers. */
  #removeLinks(note: AttachmentNote): void {
    const removal = runSteps(linkRemovalSteps(note))
      .catch((error: unknown) => {
        this.#options.logger.warn({ error: errorMessage(error) }, 'removing links failed');
      })
      .finally(() => this.#removals.delete(note.taskId));
    this.#removals.set(note.taskId, removal);
  }
}

/** Takes away what a failed attempt left, so that the names can be used again. */
async function unmake(note: AttachmentNote): Promise<void> {
  await removeNamespace(note.taskId);
  await runSteps(linkRemovalSteps(note));
}
