/**
 * SwarmKit's scenarios that the planner decides: each has a case in testdata, under its name. What is
 * not here is decided elsewhere, or does not exist in Swarmd: IsInTopology and the other cases of cluster
 * volumes. Of its acceptance cases each is found somewhere, here or in the tests of a whole cluster.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

const SCENARIOS = {
  replicated: `ReplicatedOrchestrator ReplicatedScaleDown Drain InitializationRejectedTasks
    InitializationFailedTasks InitializationNodeDown InitializationDelayStart
    OrchestratorRestartOnAny OrchestratorRestartOnFailure OrchestratorRestartOnNone
    OrchestratorRestartDelay OrchestratorRestartMaxAttempts OrchestratorRestartWindow
    UpdaterRollback`,
  global: `GlobalSetup GlobalAddNode GlobalDeleteNode GlobalNodeAvailability GlobalNodeState
    GlobalAddService GlobalDeleteService GlobalRemoveTask GlobalTaskFailure
    GlobalInitializationRejectedTasks GlobalInitializationFailedTasks
    GlobalInitializationExtraTask GlobalInitializationMultipleServices
    InitializationTaskWithoutService GlobalInitializationTaskOnDrainedNode
    InitializationTaskOnNonexistentNode InitializationRestartHistory`,
  jobs: `ReplicatedJob GlobalJob UpdateReplicatedJob JobRestartOnNone MaxConcurrent
    TotalCompletions MaxAttempts ServiceDeleted`,
  update: 'Updater UpdaterPlacement UpdaterFailureAction UpdaterTaskTimeout UpdaterOrder',
  'task reaper': `TaskReaperInit TaskHistory TaskStateRemoveOnScaledown
    TaskStateRemoveOnServiceRemoval ServiceRemoveDeadTasks TaskReaperBatching
    ServiceRemoveUnassignedTasks Tick TickHistoryCleanup`,
  'constraint enforcer': `ConstraintEnforcer OutdatedTaskPlacementConstraints
    GenericResourcesPlacementConstraints GenericResourcesPlacementConstraintsDiscrete
    RejectNoncompliantTasksIgnoresCompletedJobTasksInReservations`,
  scheduler: `Scheduler HA Preferences MultiplePreferences MultiplePreferencesScaleUp NoReadyNodes
    FaultyNode FaultyNodeSpecVersion ResourceConstraint ResourceConstraintHA
    ResourceConstraintDeadTask PreexistingDeadTask CompatiblePlatform UnassignedMap
    PreassignedTasks IgnoreTasks UnscheduleableTask PluginConstraint HostPort MaxReplicas
    TreeTaskCountConsistency NodeHostname NodeIP NodeID NodeRole NodePlatform NodeLabel EngineLabel
    MultipleConstraints`,
  allocator: `NoDuplicateIPs AllocateServiceConflictingUserDefinedPorts
    ServicePortAllocationIsRepeatable`,
} as const;

const folder = fileURLToPath(new URL('../testdata/', import.meta.url));
const comments = readdirSync(folder)
  .flatMap((file) => readFileSync(folder + file, 'utf8').split('\n'))
  .filter((line) => line.startsWith('#'))
  .join('\n');

test.each(Object.entries(SCENARIOS))('%s', (_area, names) => {
  const missing = names.split(/\s+/).filter((name) => !new RegExp(`\\b${name}\\b`).test(comments));
  expect(missing).toEqual([]);
});

/** Swarm's jobs are told of in sentences: what they say, and the comment of our case that does. */
const OF_JOBS: readonly (readonly [says: string, comment: string])[] = [
  ['creates MaxConcurrent tasks', 'ReplicatedJob: creates MaxConcurrent tasks'],
  ['unique slots', 'in slots of their own'],
  ['desired COMPLETE', 'wanted is that they complete'],
  ['only as many as needed', 'only as many as needed to TotalCompletions'],
  ['ignores tasks shutting down', 'the new tasks wait until the old ones have stopped'],
  ['does not reuse slots of failing tasks', 'and not used for anything else'],
  ['a restart for each failing task', 'Failing slots are retried under the restart policy'],
  ['a new iteration removes old tasks', 'the tasks of the earlier run go'],
  ['one per matching node', 'GlobalJob: one per matching node'],
  ['not on drained, paused, not ready ones', 'not on drained, paused or not ready ones'],
  ['shuts tasks on drained nodes', 'Draining a node shuts its task down'],
  ['the service is deleted', 'ServiceDeleted: the tasks of a removed job go'],
];

test.each(OF_JOBS)('jobs: %s', (_says, comment) => expect(comments).toContain(comment));

test('scheduler: WrongSyntax is the parser of constraints', () => {
  const file = new URL('../../model/test/constraint.test.ts', import.meta.url);
  expect(readFileSync(file, 'utf8')).toContain('WrongSyntax');
});

/** Those of the control API; rotation of the CA, unlock keys and blacklisted certificates do not exist. */
const CONTROL_API = `UpdateClusterRotateToken RemoveUsedSecret RemoveUnusedSecret RemoveUsedConfig
  RemoveUnusedConfig RemoveNetworkWithAttachedService RemoveNodes UpdateNodeDemote OrphanNodeTasks
  ServiceUpdateRejectNetworkChange ServiceEndpointSpecUpdate ListServiceStatuses JobService
  ServiceValidateJob ValidateResources ValidateMode ValidateTaskSpec ValidateContainerSpec
  ValidateServiceSpec ValidateRestartPolicy ValidateUpdate ValidateEndpointSpec
  ValidateIPAMConfiguration`;

test('control API', () => {
  const tests = ['control-scenarios.test.ts', 'service-rules.test.ts']
    .map((file) => readFileSync(new URL(`../../manager/test/${file}`, import.meta.url), 'utf8'))
    .join('\n');
  const missing = CONTROL_API.split(/\s+/).filter(
    (name) => !new RegExp(`\\b${name}\\b`).test(tests),
  );
  expect(missing).toEqual([]);
});

const LAB = 'test/lab';
const DATA = 'packages/planner/testdata';
const MANAGER = 'packages/manager/test';

/** What is to happen: the file that has the case, and how it begins there. */
const CASES: readonly (readonly [stimulus: string, file: string, text: string])[] = [
  ['1 kill a worker', `${DATA}/swarm.txt`, '# Case 1:'],
  ['1 kill a worker', `${LAB}/4-failures.test.ts`, 'that loses power has its tasks replaced'],
  ['2 kill the leader', `${LAB}/4-failures.test.ts`, 'of the leader: another one leads'],
  ['3 lose quorum', `${MANAGER}/three-managers.test.ts`, 'no leader when the quorum is gone'],
  ['4 worker partitioned, then back', `${DATA}/swarm.txt`, '# Case 4:'],
  [
    '4 worker partitioned, then back',
    `${LAB}/4-failures.test.ts`,
    'that is cut off and comes back',
  ],
  ['5 drain', `${DATA}/replicated.txt`, '# Drain:'],
  ['6 pause', `${DATA}/scheduler.txt`, '# Pause:'],
  ['7 scale 1 to N to 1', `${DATA}/swarm.txt`, '# Case 7:'],
  ['8 update with parallelism and delay', `${DATA}/swarm.txt`, '# Case 8:'],
  ['9 update with a failing image', `${DATA}/update.txt`, '# UpdaterFailureAction pause: a broken'],
  ['9 a rollback that fails', `${DATA}/update.txt`, '# UpdaterRollback: a rollback that fails'],
  ['10 an update during an update', `${DATA}/swarm.txt`, '# Case 10:'],
  ['11 crash loop', `${DATA}/swarm.txt`, '# Case 11:'],
  ['12 constraint made false', `${DATA}/enforcer.txt`, '# ConstraintEnforcer:'],
  ['13 a node fails a service', `${DATA}/scheduler.txt`, '# FaultyNode:'],
  ['14 subnet exhausted', `${DATA}/swarm.txt`, '# Case 14:'],
  ['15 published port conflict', `${DATA}/swarm.txt`, '# Case 15:'],
  ['16 stale version', `${MANAGER}/manager.test.ts`, 'taken names and ports, stale versions'],
  ['17 rotate tokens', `${MANAGER}/manager.test.ts`, 'join tokens that are wrong or were rotated'],
  ['18 join with a wrong token', `${LAB}/1-cluster.test.ts`, 'refuses a wrong token'],
  ['18 certificate of another cluster', 'packages/api/test/cluster.test.ts', 'of another cluster'],
  ['19 demote the leader', `${LAB}/7-managers.test.ts`, 'the leader hands over when it is demoted'],
  ['19 demote the last', `${MANAGER}/control-scenarios.test.ts`, 'the last manager stays one'],
  ['21 secret used by a service', `${LAB}/16-rollouts.test.ts`, 'given only to nodes that run'],
  ['21 removal while used', `${MANAGER}/control-scenarios.test.ts`, 'RemoveUsedSecret'],
  ['22 job with failing completions', `${DATA}/jobs.txt`, '# Failing slots are retried'],
  [
    '23 logs over a death',
    `${LAB}/6-coming-and-going.test.ts`,
    'followed over the death of a task',
  ],
  ['24 status regress', `${DATA}/swarm.txt`, '# Case 24:'],
  ['25 damaged log', 'packages/raft/test/wal/flips.test.ts', 'bit'],
];

/** They need what does not exist yet: rotation of the CA (of 17), and autolock (20). */
const ABSENT = [20];

test.each(CASES)('acceptance case %s', (_stimulus, file, text) => {
  const { pathname } = new URL(`../../../${file}`, import.meta.url);
  expect(readFileSync(pathname, 'utf8')).toContain(text);
});

test('every acceptance case but those that are named has a place', () => {
  const found = new Set(CASES.map(([stimulus]) => Number.parseInt(stimulus, 10)));
  const numbers = Array.from({ length: 25 }, (_, index) => index + 1);
  expect(numbers.filter((number) => !found.has(number))).toEqual(ABSENT);
});
