/** The promises themselves, as questions about stored objects. Deliberately not the planner's code. */
import {
  isTerminal,
  rank,
  STANDBY_SLOT,
  type NodeId,
  type Service,
  type Task,
} from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

/** How long a successor waits for its predecessor, beyond its grace period (Swarm's figure). */
export const STOP_PATIENCE_MS = 60_000;

export function isWanted(task: Task): boolean {
  return rank(task.desiredState) <= rank('complete');
}

/** Nothing of it runs, and nothing will. */
export function isOver(task: Task): boolean {
  return isTerminal(task.status.state) || (!isWanted(task) && task.nodeId === undefined);
}

/** The user allows two tasks in a slot while one follows the other, now or in the spec before. */
export function mayStartFirst({ spec, previousSpec }: Service): boolean {
  return [spec, previousSpec].some(
    (one) => one?.update.order === 'start-first' || one?.rollback.order === 'start-first',
  );
}

/** Told to run, for ever or until it completes. */
export function isToldToRun(task: Task): boolean {
  return task.desiredState === 'running' || task.desiredState === 'complete';
}

/** Its slot; of a job, in its run: runs of a schedule may overlap. */
export function seatOf({ slot, jobIteration }: Task): string {
  return jobIteration === undefined ? `${slot}` : `${slot} of run ${jobIteration}`;
}

/** Slots of which something is not to be forgotten. */
export function presentSlots(tasks: readonly Task[]): Set<number> {
  return new Set(
    tasks
      .filter((task) => task.desiredState !== 'remove' && task.slot !== STANDBY_SLOT)
      .map((task) => task.slot),
  );
}

/** `updating`: tasks made by updates for slots that had something to lose. */
export function maxInFlight(service: Service, updating: readonly Task[]): string | undefined {
  const phase = service.updateStatus?.state;
  if (phase !== 'updating' && phase !== 'rollback-started') return undefined;
  const { parallelism } = phase === 'updating' ? service.spec.update : service.spec.rollback;
  if (parallelism === 0) return undefined;
  const slots = new Set(
    updating
      .filter((task) => task.specVersion === service.specVersion)
      .filter((task) => isWanted(task) && rank(task.status.state) < rank('running'))
      .map((task) => task.slot),
  );
  if (slots.size <= parallelism) return undefined;
  return `service ${service.spec.name}: slots ${[...slots].join(', ')} in flight, ${parallelism} allowed`;
}

/** Reservations and host ports beyond what the node has. */
export function nodeOverload(view: ReadView, id: NodeId): string | undefined {
  const node = view.get('node', id);
  if (node === undefined) return undefined;
  let memory = 0;
  let cpu = 0;
  const ports = new Set<string>();
  for (const task of view.tasksByNode(id)) {
    if (isOver(task)) continue;
    memory += task.spec.reservations.memoryBytes;
    cpu += task.spec.reservations.nanoCpus;
    for (const port of task.ports) {
      if (port.publishMode !== 'host') continue;
      const key = `${port.publishedPort}/${port.protocol}`;
      if (ports.has(key)) return `node ${id}: host port ${key} is held twice`;
      ports.add(key);
    }
  }
  const total = node.description?.resources;
  if (memory > (total?.memoryBytes ?? 0)) return `node ${id}: ${memory} bytes reserved`;
  if (cpu > (total?.nanoCpus ?? 0)) return `node ${id}: ${cpu} billionths of a CPU reserved`;
  return undefined;
}
