/** How cures are put together: flags that are collected, and become the commands that people type. */
import type { Task } from '@swarmd/model';

import type { PlanView } from '../types.ts';
import type { Demand, NodeState } from './filters.ts';

export interface Cured {
  readonly view: Pick<PlanView, 'tasksByNode' | 'get' | 'list'>;
  readonly task: Pick<Task, 'serviceId' | 'serviceName'>;
  readonly demand: Demand;
}

/** What is changed: flags of `node update` of the node, and of `service update`, by the name of the service. */
export interface Changes {
  readonly node: string[];
  readonly services: Map<string, string[]>;
}

/** Adds what is to be changed. False: nothing does it. */
export type Cure = (
  changes: Changes,
  state: NodeState,
  cured: Cured & { readonly lacks: string },
) => boolean;

export function ofService({ services }: Changes, { task }: Cured, flag: string): boolean {
  return addFlag(services, task.serviceName, flag);
}

export function addFlag(services: Changes['services'], name: string, flag: string): boolean {
  services.set(name, [...(services.get(name) ?? []), flag]);
  return true;
}

/** As one word of a shell. */
export function quoted(text: string): string {
  return /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
