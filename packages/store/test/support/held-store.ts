import { ManualClock } from '@swarmd/base/testing';
import type { Change } from '@swarmd/model';

import { createStore, type Store } from '../../src/index.ts';

/** A store whose proposals wait until the test commits or fails them. */
export function heldStore(gather?: (collect: () => void) => void): {
  store: Store;
  proposals: (readonly Change[])[];
  commit(): void;
  fail(error: Error): void;
  signal(): AbortSignal | undefined;
  clock: ManualClock;
} {
  const clock = new ManualClock(1_000);
  const proposals: (readonly Change[])[] = [];
  let current: { settle: (error?: Error) => void; signal: AbortSignal } | undefined;
  const store = createStore({
    clock,
    ...(gather === undefined ? {} : { gather }),
    proposer: {
      propose: (changes, signal) =>
        new Promise((resolve, reject) => {
          proposals.push(changes);
          current = {
            signal,
            settle: (error) => {
              if (error !== undefined) return reject(error);
              const version = store.view.version + 1;
              store.apply(version, changes);
              resolve(version);
            },
          };
        }),
    },
  });
  const take = (): typeof current => {
    const taken = current;
    current = undefined;
    return taken;
  };
  return {
    store,
    proposals,
    commit: () => take()?.settle(),
    fail: (error) => take()?.settle(error),
    signal: () => current?.signal,
    clock,
  };
}
