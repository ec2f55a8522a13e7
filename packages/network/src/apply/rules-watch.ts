/**
 * Hears of changes that others make to the host's firewall, in the moment they make them: a flush takes our
 * tables away, and a policy of DROP stops what they let pass.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { Clock, Logger, Timer } from '@swarmd/base';

import { NFT_TABLE } from '../desired/names.ts';
import { RULES_SETTLE_MS } from '../limits.ts';

/** Ends with us, however we end. iptables of today is nftables, too, and heard of here. */
const MONITOR = ['setpriv', '--pdeathsig', 'KILL', 'nft', 'monitor', 'chains'] as const;
/** Our own chains for ports come and go; the others only go when somebody takes them away. */
const OF_OURS = new RegExp(
  `^(add|delete) chain ip6? ${NFT_TABLE} (port_|vip_)|^add .* ${NFT_TABLE} `,
);

export interface RulesWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Some time after the first of several changes. */
  readonly onChange: () => void;
}

export class RulesWatch implements AsyncDisposable {
  readonly #options: RulesWatchOptions;
  #monitor: ChildProcess | undefined;
  #timer: Timer | undefined;

  constructor(options: RulesWatchOptions) {
    this.#options = options;
  }

  /** To be called again from time to time: a monitor that ended is started anew. */
  start(): void {
    if (this.#monitor !== undefined) return;
    const [program, ...args] = MONITOR;
    const monitor = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#monitor = monitor;
    const isGone = (why: object): void => {
      if (this.#monitor !== monitor) return;
      this.#monitor = undefined;
      this.#options.logger.warn(why, 'not hearing of firewall changes for the moment');
    };
    monitor.once('error', (error) => isGone({ error: error.message }));
    monitor.once('close', (code, killedBy) => isGone({ code, killedBy }));
    monitor.unref();
    createInterface({ input: monitor.stdout }).on('line', (line) => this.#hear(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    const monitor = this.#monitor;
    this.#monitor = undefined;
    if (monitor === undefined) return;
    const closed = new Promise<void>((resolve) => monitor.once('close', () => resolve()));
    monitor.kill('SIGKILL');
    await closed;
  }

  #hear(line: string): void {
    if (this.#monitor === undefined || this.#timer !== undefined || OF_OURS.test(line)) return;
    const { clock, onChange } = this.#options;
    this.#timer = clock.after(RULES_SETTLE_MS, () => {
      this.#timer = undefined;
      onChange();
    });
  }
}
