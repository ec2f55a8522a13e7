/** What a user of the cluster talks to: every service a manager offers, behind one object. */
import type { Control, Local, Logs, Membership, Watch } from '@swarmd/api';

export interface ClusterClient {
  readonly control: Control;
  readonly membership: Membership;
  readonly logs: Logs;
  readonly watch: Watch;
}

export interface DaemonClient {
  readonly local: Local;
}
