/** What every command gets: connections, where to print, when to stop. */
import type { Call } from '@swarmd/api';
import type { Clock, Random } from '@swarmd/base';
import type { ClusterClient, DaemonClient } from '@swarmd/client';

import type { Console } from './console.ts';
import type { Credentials } from './credentials.ts';

export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** True when progress may be redrawn in place. */
  readonly interactive: boolean;
  /** Width of an interactive terminal in characters. */
  readonly columns: () => number;
  readonly readFile: (path: string) => Uint8Array;
  readonly console: Console;
  /** Called with the names of signals instead of ending the command, until disposed. */
  readonly onSignal: (listener: (name: string) => void) => Disposable;
}

export interface Context {
  readonly terminal: Terminal;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
  /** Replaced by `--stale`. */
  call: Call;
  /** Connects on first use. */
  readonly daemon: () => DaemonClient;
  /** The managers' services. @throws SwarmError when this machine is not a manager. */
  readonly cluster: () => Promise<ClusterClient>;
}
