export { startAgent, type Agent, type AgentOptions } from './agent.ts';
export type {
  ContainerExit,
  ContainerFile,
  ContainerPhase,
  ContainerRequest,
  Executor,
  LogOptions,
  NetworkAttachment,
  NetworkPlane,
} from './ports.ts';
export { reaches } from './reaches.ts';
export type { ManagerConnection } from './session.ts';
