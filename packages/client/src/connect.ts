/** Connections to the daemon of this machine: its own socket, and a manager's control socket. */
import { existsSync } from 'node:fs';

import {
  connect,
  createControlClient,
  createEngineClient,
  createLocalClient,
  createLogsClient,
  createMembershipClient,
  createWatchClient,
  type Control,
  type Engine,
  type Local,
  type Logs,
  type Membership,
  type Watch,
} from '@swarmd/api';
import { SwarmError } from '@swarmd/base';

import { repeatingWrites, type RepeatDeps } from './repeat.ts';

/** Every service a manager offers to users, behind one object. */
export interface ClusterClient {
  readonly control: Control;
  readonly membership: Membership;
  readonly logs: Logs;
  readonly engine: Engine;
  readonly watch: Watch;
}

export interface DaemonClient {
  readonly local: Local;
}

/**
 * The daemon of this machine.
 * @param runDir Folder of its sockets, e.g. "/run/swarmd".
 * @throws SwarmError `unavailable` when no daemon has made its socket there.
 */
export function openDaemon(runDir: string): DaemonClient & Disposable {
  const socketPath = `${runDir}/swarmd.sock`;
  if (!existsSync(socketPath)) {
    throw new SwarmError(
      'unavailable',
      `no daemon at ${socketPath}: start swarmd (systemctl start swarmd), or say where its sockets are with --run-dir`,
    );
  }
  const channel = connect({ socketPath });
  return { local: createLocalClient(channel), [Symbol.dispose]: () => channel[Symbol.dispose]() };
}

/**
 * The managers' services, by way of the manager on this machine. With `repeat`, writes are repeated
 * while it is not known what became of them.
 */
export function openCluster(
  controlSocket: string,
  repeat?: RepeatDeps,
): ClusterClient & Disposable {
  const channel = connect({ socketPath: controlSocket });
  const control = createControlClient(channel);
  return {
    control: repeat === undefined ? control : repeatingWrites(control, repeat),
    membership: createMembershipClient(channel),
    logs: createLogsClient(channel),
    engine: createEngineClient(channel),
    watch: createWatchClient(channel),
    [Symbol.dispose]: () => channel[Symbol.dispose](),
  };
}
