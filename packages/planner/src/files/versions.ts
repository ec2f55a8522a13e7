/**
 * Versions of secrets and configs. A version is an object with an id of its own, whose content never
 * changes; services and tasks refer to ids, so each goes on with what it was made with. The newest of
 * a name has no `replacedAt`.
 */
import {
  asId,
  isJob,
  secretIds,
  type Change,
  type Config,
  type ContainerSpec,
  type FileReference,
  type Secret,
  type Service,
  type ServiceSpec,
  type Task,
} from '@swarmd/model';

import { allocated, type Allocated } from '../allocate/result.ts';
import { changedService } from '../service-change.ts';
import { isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';

export type FileTable = 'secret' | 'config';

/** The reads that it takes to know who uses which version. */
export interface FileView {
  list(table: 'service'): Iterable<Service>;
  list(table: 'task'): Iterable<Task>;
  list(table: 'secret'): Iterable<Secret>;
  list(table: 'config'): Iterable<Config>;
}

export function fileReferences(
  table: FileTable,
  container: ContainerSpec,
): readonly FileReference[] {
  return table === 'secret' ? container.secrets : container.configs;
}

/** Ids of everything of the table that the spec needs: files, and credentials of registries. */
export function fileIds(table: FileTable, container: ContainerSpec): readonly string[] {
  return table === 'secret' ? secretIds(container) : container.configs.map(({ id }) => id);
}

/** "key (id)" of the first file that the spec refers to and that does not exist; undefined: all do. */
export function missingFile(view: PlanView, { task }: ServiceSpec): string | undefined {
  const { secrets, configs } = task.container;
  const missing =
    secrets.find(({ id }) => view.get('secret', asId('secret', id)) === undefined) ??
    configs.find(({ id }) => view.get('config', asId('config', id)) === undefined);
  return missing === undefined ? undefined : `${missing.name} (${missing.id})`;
}

/**
 * The service with references to `to` in place of those to any of `from`, to be rolled out by its
 * update policy; undefined when it refers to none of them. A job does not run again for it: its next
 * run has the new version.
 */
export function withFileVersion(
  view: PlanView,
  service: Service,
  change: { table: FileTable; from: ReadonlySet<string>; to: string; now: number },
): Allocated<Service> | undefined {
  const { table, from, to, now } = change;
  const { container } = service.spec.task;
  if (!fileIds(table, container).some((id) => from.has(id))) return undefined;
  const renewed = (id: string): string => (from.has(id) ? to : id);
  const after = fileReferences(table, container).map((one) => ({ ...one, id: renewed(one.id) }));
  const files =
    table === 'secret'
      ? { secrets: after, registrySecret: renewed(container.registrySecret) }
      : { configs: after };
  const task = { ...service.spec.task, container: { ...container, ...files } };
  const changed = changedService(view, service, { spec: { ...service.spec, task }, now });
  if (changed.kind === 'refused' || !isJob(service.spec.mode)) return changed;
  const { jobStatus: _again, ...rest } = changed.value;
  const { jobStatus } = service;
  return allocated(jobStatus === undefined ? rest : { ...rest, jobStatus });
}

/** Former versions that no service, none of its former specs and no task refers to any more. */
export function unusedVersions(view: FileView): Change[] {
  const former: Change[] = [];
  for (const { id, replacedAt } of view.list('secret')) {
    if (replacedAt !== undefined) former.push({ kind: 'delete', table: 'secret', id });
  }
  for (const { id, replacedAt } of view.list('config')) {
    if (replacedAt !== undefined) former.push({ kind: 'delete', table: 'config', id });
  }
  const used = new Set<string>();
  const isUnused = (change: Change): boolean => change.kind === 'delete' && !used.has(change.id);
  // Thousands of tasks share a spec.
  const seen = new Set<ContainerSpec>();
  const use = (container: ContainerSpec): void => {
    if (seen.has(container)) return;
    seen.add(container);
    for (const id of [...secretIds(container), ...container.configs.map((one) => one.id)]) {
      used.add(id);
    }
  };
  for (const { spec, previousSpec, history } of view.list('service')) {
    use(spec.task.container);
    if (previousSpec !== undefined) use(previousSpec.task.container);
    for (const past of history?.specs ?? []) use(past.spec.task.container);
  }
  // There are many tasks, and most former versions are in the history of a service.
  if (!former.some(isUnused)) return [];
  for (const task of view.list('task')) {
    if (isWanted(task) || !isOver(task)) use(task.spec.container);
  }
  return former.filter(isUnused);
}
