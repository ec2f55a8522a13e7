/** What planning asks of a task: is it over, is it wanted, was it made from this spec. */
import {
  isTerminal,
  isWantedState,
  meetsConstraint,
  parseConstraint,
  STANDBY_SLOT,
  type Node,
  type Service,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

/** Nothing of it runs, and nothing will: it ended, or was given up before it had a node. */
export function isOver(task: Task): boolean {
  return isTerminal(task.status.state) || (!isWanted(task) && task.nodeId === undefined);
}

/** It is meant to run (or to complete, or to stand ready). */
export function isWanted(task: Task): boolean {
  return isWantedState(task.desiredState);
}

/** Runs on its node, or will: what counts for how many of a service are there. One that completed is not. */
export function isAtWork(task: Task): boolean {
  return isWanted(task) && !isOver(task);
}

/** Ended by itself, as opposed to being told to or losing its node. */
export function endedByItself(task: Task): boolean {
  const { state } = task.status;
  return state === 'complete' || state === 'failed' || state === 'rejected';
}

/** When the newest status was taken note of. */
export function statusTime(task: Task): number {
  return task.status.appliedAt ?? task.status.timestamp;
}

/** "web.3 (id)", or "web.standby (id)", as messages name a task. */
export function taskName(task: Task): string {
  const seat = task.slot === STANDBY_SLOT ? 'standby' : task.slot;
  return `${task.serviceName}.${seat} (${task.id})`;
}

/**
 * Oldest first. Stamps of different commits differ, and what is not stored yet is the newest; of two
 * that one plan made for a slot, the one of the newer spec is the successor.
 */
export function byAge(a: Task, b: Task): number {
  return (
    Number(isNew(a)) - Number(isNew(b)) ||
    cameToSlotAt(a) - cameToSlotAt(b) ||
    a.specVersion - b.specVersion ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  );
}

/** A standby is the successor of what it takes over from, however long it has stood by. */
function cameToSlotAt(task: Task): number {
  return task.promotedAt ?? task.meta.createdAt;
}

function isNew(task: Task): boolean {
  return task.meta.version === 0;
}

/** Reads the node of a task; undefined when it has none, or none that is known. */
interface NodesOfTasks {
  of(task: Task): Node | undefined;
}

/**
 * Is the task as the service wants its tasks now? Placement does not count as long as the task's
 * node complies with the new one: a change of constraints moves only what must move. Neither does who
 * pulls the image, which has been pulled.
 */
export function isCurrent(task: Task, service: Service, nodes: NodesOfTasks): boolean {
  if (task.specVersion === service.specVersion || sameTaskSpec(task.spec, service.spec.task)) {
    return sameHostPorts(task, service);
  }
  if (!sameWhereItStays(task.spec, service.spec.task)) return false;
  const node = nodes.of(task);
  return node !== undefined && sameHostPorts(task, service) && compliance(service.spec.task)(node);
}

/** Tasks of a service share their specs, which are immutable: two are compared once for all tasks. */
function memo(
  compare: (a: TaskSpec, b: TaskSpec) => boolean,
): (a: TaskSpec, b: TaskSpec) => boolean {
  const known = new WeakMap<TaskSpec, WeakMap<TaskSpec, boolean>>();
  return (a, b) => {
    if (a === b) return true;
    let ofA = known.get(a);
    if (ofA === undefined) known.set(a, (ofA = new WeakMap()));
    let same = ofA.get(b);
    if (same === undefined) ofA.set(b, (same = compare(a, b)));
    return same;
  };
}

const sameTaskSpec = memo(sameSpec);

/** But for what says where it may run, and how its image is got. */
export const sameWhereItStays = memo((a, b) => {
  const { registrySecret } = b.container;
  const container = { ...a.container, registrySecret };
  return sameSpec({ ...a, placement: b.placement, container }, b);
});

/** Tells whether a node meets the constraints of the spec. */
export function compliance(spec: TaskSpec): (node: Node) => boolean {
  let known = compliances.get(spec);
  if (known === undefined) {
    known = parseCompliance(spec);
    compliances.set(spec, known);
  }
  return known;
}

/** Specs are immutable, and every plan asks for those of all tasks. */
const compliances = new WeakMap<TaskSpec, (node: Node) => boolean>();

function parseCompliance(spec: TaskSpec): (node: Node) => boolean {
  const constraints = spec.placement.constraints.map((text) => parseConstraint(text));
  return (node) =>
    constraints.every((one) => typeof one !== 'string' && meetsConstraint(node, one));
}

/** Ingress ports are a matter of the mesh; only ports of the node itself are bound to the task. */
function sameHostPorts(task: Task, service: Service): boolean {
  const { ports } = service.endpoint;
  if (ports === task.ports || (ports.length === 0 && task.ports.length === 0)) return true;
  const ofHost = (list: Task['ports']) => list.filter((port) => port.publishMode === 'host');
  return sameSpec(ofHost(task.ports), ofHost(ports));
}

/** Deep equality of specs, whatever the order of their keys. */
export function sameSpec(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameSpec(item, b[index]));
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key in left) if (!sameSpec(left[key], right[key])) return false;
  for (const key in right) if (right[key] !== undefined && left[key] === undefined) return false;
  return true;
}
