/** A store without replication: every proposal is committed at once. */
import type { Clock } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';

import { createStore } from './store.ts';
import type { Store } from './types.ts';

/** Versions count 1, 2, 3, ... one for each batch. */
export function createMemoryStore(options: { clock?: Clock } = {}): Store {
  const store: Store = createStore({
    clock: options.clock ?? new ManualClock(),
    proposer: {
      propose: (changes, _signal, requests) => {
        const version = store.view.version + 1;
        store.apply(version, changes, requests);
        return Promise.resolve(version);
      },
    },
  });
  return store;
}
