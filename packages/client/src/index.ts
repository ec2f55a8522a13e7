export { openCluster, openDaemon, type ClusterClient, type DaemonClient } from './connect.ts';
export { judge, waitForConvergence, type Progress, type SlotProgress } from './converge.ts';
export { explainNode, explainService, explainTask, type Verdicts } from './explain.ts';
export { explainRuns, nextRun } from './explain-runs.ts';
export { overcome } from './overcome.ts';
export { resolve, type Kind } from './resolve.ts';
export { steadyLogs } from './steady-logs.ts';
