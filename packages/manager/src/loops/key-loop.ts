/**
 * Gives encrypted networks their next keys when the time has come and every node has the present ones.
 * There is one key: all networks share a ring. When and whether is decided by `planKeys`.
 */
import { ControlLoop } from '@swarmd/base';
import { createOverlaySecret } from '@swarmd/pki';
import { advanceRing, planKeys } from '@swarmd/planner';
import type { Commit } from '@swarmd/store';

import { KEY_LOOP_LOOKS_MS } from '../limits.ts';
import { theCluster } from '../replication/the-cluster.ts';
import type { LoopOptions } from './service-loop.ts';

const KEY = 'overlay keys';

export class KeyLoop implements AsyncDisposable {
  readonly #options: LoopOptions;
  readonly #loop: ControlLoop;
  readonly #subscription: Disposable;

  constructor(options: LoopOptions) {
    this.#options = options;
    const { clock, random, logger } = options;
    this.#loop = new ControlLoop({ name: 'overlay-keys', clock, random, logger }, (_key, signal) =>
      this.#look(signal),
    );
    this.#subscription = options.store.subscribe((commit) => {
      if (mayMatter(commit)) this.#loop.enqueue(KEY);
    });
    this.#loop.enqueue(KEY);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  async #look(signal: AbortSignal): Promise<{ requeueAfterMs: number } | undefined> {
    const { store, clock, logger } = this.#options;
    const decision = planKeys(store.view, clock.now());
    if (decision.kind === 'rest') return undefined;
    if (decision.kind === 'wait') {
      const waitMs = (decision.until ?? Infinity) - clock.now();
      return { requeueAfterMs: Math.min(Math.max(waitMs, 1), KEY_LOOP_LOOKS_MS) };
    }
    const { missing } = decision;
    if (missing.length > 0) {
      logger.warn(
        { missing },
        'new keys for encrypted networks, though nodes lack the present ones',
      );
    }
    await store.update((tx) => {
      if (planKeys(tx, clock.now()).kind !== 'advance') return;
      const cluster = theCluster(tx);
      const { overlayKeys, spec } = cluster;
      if (overlayKeys === undefined) return;
      const making = {
        secret: createOverlaySecret,
        now: clock.now(),
        periodMs: spec.overlayKeyPeriodMs,
      };
      tx.put('cluster', { ...cluster, overlayKeys: advanceRing(overlayKeys, making) });
    }, signal);
    return { requeueAfterMs: KEY_LOOP_LOOKS_MS };
  }
}

/** The ring and its period, what there is to encrypt, and how far nodes have come. */
function mayMatter({ changes }: Commit): boolean {
  return changes.some(
    ({ table, before, after }) =>
      table === 'cluster' ||
      table === 'network' ||
      (table === 'node' &&
        (before?.description?.encryption !== after?.description?.encryption ||
          before?.status.state !== after?.status.state)),
  );
}
