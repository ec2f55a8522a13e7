/** List filters: empty fields do not restrict, values of one field are alternatives, labels must all hold. */
import type { ListFilter, TaskFilter } from '@swarmd/api';
import type { Task } from '@swarmd/model';

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function matches(filter: ListFilter, object: Listed): boolean {
  return (
    oneOf(filter.ids, (id) => id === object.id) &&
    oneOf(filter.idPrefixes, (prefix) => object.id.startsWith(prefix)) &&
    oneOf(filter.names, (name) => name === object.name) &&
    (filter.labels ?? []).every((label) => hasLabel(object.labels, label))
  );
}

/** A task's name is "service.slot". */
export function matchesTask(filter: TaskFilter, task: Task): boolean {
  const { nodeId } = task;
  return (
    oneOf(filter.serviceIds, (id) => id === task.serviceId) &&
    oneOf(filter.nodeIds, (id) => id === nodeId) &&
    oneOf(filter.desiredStates, (state) => state === task.desiredState) &&
    matches(filter, {
      id: task.id,
      name: `${task.serviceName}.${task.slot}`,
      labels: task.spec.container.labels,
    })
  );
}

function oneOf<T>(values: readonly T[] | undefined, accepts: (value: T) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(accepts);
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  if (at < 0) return Object.hasOwn(labels, wanted);
  const key = wanted.slice(0, at);
  return Object.hasOwn(labels, key) && labels[key] === wanted.slice(at + 1);
}
