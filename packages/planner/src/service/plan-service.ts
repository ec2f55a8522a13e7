/**
 * Everything a service needs, in one plan: slots, restarts, rolling update, placement, addresses,
 * history. Planning again on what it has planned changes nothing until time passes or an agent
 * reports something.
 */
import {
  isGlobal,
  isJob,
  type JobRun,
  type JobSchedule,
  type Service,
  type ServiceId,
  type Task,
} from '@swarmd/model';

import { Draft } from '../draft.ts';
import { placeTasks } from '../place/place.ts';
import { isOver, sameSpec } from '../task-view.ts';
import type { Plan, PlanContext, PlanView } from '../types.ts';
import { withIngressPorts } from './new-task.ts';
import { Enforcer } from './enforce.ts';
import { keepStandbys } from './standby.ts';
import { rebalance } from './rebalance.ts';
import { refreshLimits } from './refresh-limits.ts';
import { refreshPlacement } from './refresh-placement.ts';
import { coverNodes, leaveNodes } from './global.ts';
import { removeOtherRuns, startJobTasks } from './job.ts';
import { activeRuns } from './runs.ts';
import { asOfRun, endRuns, followSchedule } from './scheduled-job.ts';
import { orphanTasks, replaceBroken } from './fates.ts';
import { reap } from './reap.ts';
import { advanceUpdate, dropOvertaken, judgeUpdate } from './rolling-update.ts';
import { scale } from './scale.ts';
import { takeOver } from './take-over.ts';
import { isHalted } from './update-state.ts';

/** Also for services that no longer exist: their tasks are stopped and then forgotten. */
export function planService(view: PlanView, serviceId: ServiceId, context: PlanContext): Plan {
  const service = view.get('service', serviceId);
  const draft = new Draft(view, service, { tasks: view.tasksByService(serviceId), context });
  orphanTasks(draft);
  if (service === undefined) removeAll(draft);
  else if (isJob(service.spec.mode)) planJob(draft, service);
  else planLasting(draft, service);
  reap(draft, draft.service);
  return draft.toPlan();
}

/** Services whose tasks are to run for ever. */
function planLasting(draft: Draft, stored: Service): void {
  if (isGlobal(stored.spec.mode)) leaveNodes(draft, stored);
  refreshLimits(draft, stored);
  refreshPlacement(draft, stored);
  const service = judgeUpdate(draft, stored);
  refreshPorts(draft, service);
  dropOvertaken(draft, service);
  const enforcer = new Enforcer(draft);
  replaceBroken(draft, service, { halted: isHalted(service), enforcer });
  if (isGlobal(service.spec.mode)) coverNodes(draft, service);
  else scale(draft, service);
  advanceUpdate(draft, service);
  keepStandbys(draft, draft.service ?? service, enforcer);
  rebalance(draft, draft.service ?? service);
  placeTasks(draft);
  takeOver(draft, draft.service ?? service);
}

/** Services whose tasks are to complete. */
function planJob(draft: Draft, service: Service): void {
  removeOtherRuns(draft, service);
  refreshPorts(draft, service);
  const { schedule } = service.spec;
  if (schedule !== undefined) planScheduled(draft, service, schedule);
  else {
    advanceRun(draft, service, new Enforcer(draft));
    placeTasks(draft);
    takeOver(draft, service);
  }
}

/** The tasks of one run. */
function advanceRun(draft: Draft, service: Service, enforcer: Enforcer): void {
  if (isGlobal(service.spec.mode)) leaveNodes(draft, service);
  replaceBroken(draft, service, { halted: false, enforcer });
  if (isGlobal(service.spec.mode)) coverNodes(draft, service);
  else startJobTasks(draft, service);
}

/** Runs under way, then what the schedule asks for now. */
function planScheduled(draft: Draft, stored: Service, schedule: JobSchedule): void {
  const enforcer = new Enforcer(draft);
  const advance = (service: Service, runs: readonly JobRun[]): void => {
    for (const run of runs) {
      draft.ofRun(run.iteration, () => advanceRun(draft, asOfRun(service, run), enforcer));
    }
  };
  const before = activeIn(stored);
  advance(stored, before);
  const ended = endRuns(draft, stored, schedule);
  const service = followSchedule(draft, ended, schedule);
  removeOtherRuns(draft, service);
  const started = activeIn(service).filter(
    ({ iteration }) => !before.some((run) => run.iteration === iteration),
  );
  advance(service, started);
  removeOtherRuns(draft, endRuns(draft, service, schedule));
  placeTasks(draft);
  for (const run of activeIn(service)) {
    draft.ofRun(run.iteration, () => takeOver(draft, asOfRun(service, run)));
  }
}

function activeIn({ jobStatus }: Service): JobRun[] {
  return jobStatus === undefined ? [] : activeRuns(jobStatus);
}

function removeAll(draft: Draft): void {
  for (const task of draft.tasks()) {
    if (task.desiredState === 'remove') continue;
    const why = draft.reason('service-removed', `service ${task.serviceName} was removed`);
    draft.change(task, { desiredState: 'remove' }, why);
  }
}

/** Ports of the mesh change without a restart; ports of the node are part of the task's spec. */
function refreshPorts(draft: Draft, service: Service): void {
  for (const task of draft.tasks()) {
    if (isOver(task)) continue;
    const ports = withIngressPorts(task.ports, service.endpoint.ports);
    if (samePorts(task.ports, ports)) continue;
    const why = draft.reason('ports-changed', 'the published ports of the service changed');
    draft.change(task, { ports }, why);
  }
}

/** Whatever their order. */
function samePorts(a: Task['ports'], b: Task['ports']): boolean {
  return a.length === b.length && a.every((port) => b.some((other) => sameSpec(port, other)));
}
