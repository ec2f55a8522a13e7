export type { ClusterClient, DaemonClient } from './cluster-client.ts';
export { judge, waitForConvergence, type Progress, type SlotProgress } from './converge.ts';
export { resolve, type Kind } from './resolve.ts';
