export { createExecutor, type ExecutorOptions } from './create-executor.ts';
export type {
  ContainerExit,
  ContainerFile,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  ExecResult,
  Executor,
  LogLine,
  LogOptions,
} from './types.ts';
