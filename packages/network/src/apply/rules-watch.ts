/**
 * Hears of changes that others make to the host's firewall, in the moment they make them: a flush takes our
 * tables or rules away, and a policy of DROP stops what they let pass.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { Clock, Logger, Timer } from '@swarmd/base';

import { NFT_TABLE } from '../desired/names.ts';
import { RULES_SETTLE_MS } from '../limits.ts';

/** Ends with us, however we end. iptables of today is nftables, too, and heard of here. */
const MONITOR = ['setpriv', '--pdeathsig', 'KILL', 'nft', 'monitor'] as const;
/** Our own chains for ports come and go; the others only go when somebody takes them away. */
const OF_OURS = new RegExp(
  `^(add|delete) chain ip6? ${NFT_TABLE} (port_|vip_)|^add .* ${NFT_TABLE} `,
);
/** What others do with rules of their own, often by hundreds, is nothing to us: these are where ours are. */
const RULE_OF_OURS = new RegExp(
  `^delete rule ip6? (${NFT_TABLE} (?!port_|vip_)|filter (FORWARD|INPUT) )`,
);
const WATCHED: readonly Watched[] = [
  { events: ['chains'], concerns: (line) => !OF_OURS.test(line) },
  { events: ['destroy', 'rules'], concerns: (line) => RULE_OF_OURS.test(line) },
];

interface Watched {
  readonly events: readonly string[];
  readonly concerns: (line: string) => boolean;
}

export interface RulesWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Some time after the first of several changes. */
  readonly onChange: () => void;
}

export class RulesWatch implements AsyncDisposable {
  readonly #options: RulesWatchOptions;
  readonly #monitors = new Map<Watched, ChildProcess>();
  #timer: Timer | undefined;

  constructor(options: RulesWatchOptions) {
    this.#options = options;
  }

  /** To be called again from time to time: a monitor that ended is started anew. */
  start(): void {
    for (const watched of WATCHED) if (!this.#monitors.has(watched)) this.#monitor(watched);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    const monitors = [...this.#monitors.values()];
    this.#monitors.clear();
    const closed = monitors.map(
      (one) => new Promise<void>((resolve) => one.once('close', () => resolve())),
    );
    for (const monitor of monitors) monitor.kill('SIGKILL');
    await Promise.all(closed);
  }

  #monitor(watched: Watched): void {
    const [program, ...args] = [...MONITOR, ...watched.events];
    const monitor = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#monitors.set(watched, monitor);
    const isGone = (why: object): void => {
      if (this.#monitors.get(watched) !== monitor) return;
      this.#monitors.delete(watched);
      this.#options.logger.warn(why, 'not hearing of firewall changes for the moment');
    };
    monitor.once('error', (error) => isGone({ error: error.message }));
    monitor.once('close', (code, killedBy) => isGone({ code, killedBy }));
    monitor.unref();
    createInterface({ input: monitor.stdout }).on('line', (line) => {
      if (watched.concerns(line)) this.#hear();
    });
  }

  #hear(): void {
    if (this.#monitors.size === 0 || this.#timer !== undefined) return;
    const { clock, onChange } = this.#options;
    this.#timer = clock.after(RULES_SETTLE_MS, () => {
      this.#timer = undefined;
      onChange();
    });
  }
}
