/** Who printed a line: "web.1.k2v9…@host". Tasks that begin while their service is followed are looked up. */
import type { TaskLogChunk } from '@swarmd/api';
import type { Service, Task } from '@swarmd/model';

import type { Context } from '../context.ts';
import { shortId } from '../output.ts';
import { taskName } from './find-task.ts';
import type { LogFlags } from './logs.ts';

type NameFlags = Pick<LogFlags, 'resolve' | 'trunc' | 'taskIds' | 'raw'>;

export class LogNames {
  readonly #context: Context;
  readonly #flags: NameFlags;
  readonly #tasks = new Map<string, Task>();
  readonly #hosts = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #width = 0;

  private constructor(context: Context, flags: NameFlags) {
    this.#context = context;
    this.#flags = flags;
  }

  static async load(
    context: Context,
    { flags, services }: { readonly flags: NameFlags; readonly services: readonly Service[] },
  ): Promise<LogNames> {
    const names = new LogNames(context, flags);
    const { control } = await context.cluster();
    const nodes = await control.listNodes({ filter: {} }, context.call);
    for (const { id, description } of nodes) names.#hosts.set(id, description?.hostname ?? id);
    const serviceIds = services.map((service) => service.id);
    if (serviceIds.length > 0) await names.#learn(serviceIds);
    return names;
  }

  async of(chunk: TaskLogChunk): Promise<string> {
    if (this.#flags.raw && chunk.notice === '') return '';
    const known = this.#names.get(chunk.taskId);
    if (known !== undefined) return known;
    if (!this.#tasks.has(chunk.taskId)) await this.#learn([chunk.serviceId]);
    const name = this.#nameOf(chunk);
    this.#names.set(chunk.taskId, name);
    return name;
  }

  /** A task that was forgotten meanwhile is shown by its id. */
  async #learn(serviceIds: readonly Service['id'][]): Promise<void> {
    const { control } = await this.#context.cluster();
    const tasks = await control
      .listTasks({ filter: { serviceIds: [...serviceIds] } }, this.#context.call)
      .catch(() => []);
    for (const task of tasks) this.#tasks.set(task.id, task);
    const lengths = tasks.map((task) => String(task.slot).length);
    this.#width = Math.max(this.#width, ...lengths);
  }

  #nameOf({ taskId, nodeId, serviceId }: TaskLogChunk): string {
    const { resolve, trunc, taskIds } = this.#flags;
    const task = this.#tasks.get(taskId);
    const id = trunc ? shortId(taskId) : taskId;
    if (task === undefined) return `${id}@${this.#hosts.get(nodeId) ?? nodeId}`;
    const slot = resolve ? taskName(task) : `${serviceId}.${task.slot}`;
    const padding = ' '.repeat(Math.max(0, this.#width - String(task.slot).length));
    const host = resolve ? (this.#hosts.get(nodeId) ?? nodeId) : nodeId;
    return `${slot}${taskIds ? `.${id}` : ''}@${host}${padding}`;
  }
}
