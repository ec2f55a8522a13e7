/** The parts of a manager that its other parts are built on. */
import type { Scope } from '@swarmd/base';
import type { Raft } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import type { SessionDispatcher } from './dispatcher/dispatcher.ts';
import type { Duties } from './leadership/duties.ts';
import type { LeaderRoute } from './leadership/leader-route.ts';
import type { Leadership } from './leadership/leadership.ts';
import type { Peers } from './net/peers.ts';
import type { ManagerIdentity, ManagerOptions } from './options.ts';

export interface Core {
  readonly options: ManagerOptions;
  readonly store: Store;
  readonly raft: Raft;
  readonly peers: Peers;
  readonly leadership: Leadership<Duties>;
  readonly route: LeaderRoute;
  readonly dispatcher: SessionDispatcher;
  readonly scope: Scope;
  readonly identity: () => ManagerIdentity;
}
