export { createExecutor, type ExecutorOptions } from './create-executor.ts';
export type {
  ContainerExit,
  ContainerFile,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  ExecResult,
  Executor,
  LogOptions,
  ImageDetails,
  ImageInfo,
  Images,
  PullOptions,
  SessionEvent,
  SessionInput,
  SessionStart,
  VolumeInfo,
  VolumeRequest,
  Volumes,
  Workbench,
} from './types.ts';
export type { StorageDriver } from './container/rootfs.ts';
export type { CleanUpPolicy } from './image/clean-up.ts';
export type { Registries, RegistrySettings } from './registry/endpoint.ts';
