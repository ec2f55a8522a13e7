export { allocateEndpoint } from './allocate/endpoint.ts';
export { allocateNetwork } from './allocate/network.ts';
export { allocateNode, nodeAddresses } from './allocate/node.ts';
export type { Allocated } from './allocate/result.ts';
export { planService } from './service/plan-service.ts';
export { REASONS, type ReasonCode } from './reasons.ts';
export type { Plan, PlanContext, PlanView } from './types.ts';
export { changedService, newService, rolledBackService } from './service-change.ts';
export { acceptStatus, type StatusIntake } from './task-status.ts';
