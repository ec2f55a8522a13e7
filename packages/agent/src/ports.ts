/**
 * What the agent needs of the machine it runs on: an executor for containers, a network plane. The shapes are
 * those of the packages that bring them; nothing of their code is imported, and tests bring their own.
 */
import type { NetworkPlane as WholeNetworkPlane } from '@swarmd/network';

export type {
  ContainerExit,
  ContainerFile,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  ExecResult,
  Executor,
  Images,
  LogOptions,
  SessionInput,
  SessionStart,
  Volumes,
  Workbench,
} from '@swarmd/executor';
export type { NetworkAttachment } from '@swarmd/network';

/** The network plane of this machine; who made it ends it. */
export type NetworkPlane = Omit<WholeNetworkPlane, 'destroy' | typeof Symbol.asyncDispose>;
