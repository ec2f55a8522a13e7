/**
 * SwarmKit's scenarios that the planner decides: each has a case in testdata, under its name. What is
 * not here is decided elsewhere, or does not exist in Swarmd: PluginConstraint (nothing is pluggable),
 * IsInTopology and the other cases of cluster volumes.
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
    PreassignedTasks IgnoreTasks UnscheduleableTask HostPort MaxReplicas NodeLabel EngineLabel
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
