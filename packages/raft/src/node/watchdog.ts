/**
 * Takes leadership from a member that cannot use it: its main thread is stuck (swarmkit #1658: it
 * would go on sending heartbeats and serve nobody), or its disk hangs.
 */
import type { Clock, Logger } from '@swarmd/base';

import { DISK_STUCK_MS, HANDOVER_EVERY_MS, MAIN_PING_MS, MAIN_STUCK_MS } from './limits.ts';

export interface WatchdogPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  ping(): void;
  handOver(): void;
}

export class Watchdog {
  readonly #ports: WatchdogPorts;
  #pingedAt: number;
  #answered = true;
  #handedOverAt = -HANDOVER_EVERY_MS;

  constructor(ports: WatchdogPorts) {
    this.#ports = ports;
    this.#pingedAt = ports.clock.monotonic();
  }

  pong(): void {
    this.#answered = true;
  }

  /** With every tick. `leads`: this member is the leader and may hand over. */
  check(state: { leads: boolean; writeAgeMs: number }): void {
    const now = this.#ports.clock.monotonic();
    const silentMs = now - this.#pingedAt;
    if (this.#answered && silentMs >= MAIN_PING_MS) {
      this.#answered = false;
      this.#pingedAt = now;
      this.#ports.ping();
      return;
    }
    if (!state.leads || now - this.#handedOverAt < HANDOVER_EVERY_MS) return;
    const mainStuck = !this.#answered && silentMs >= MAIN_STUCK_MS;
    const diskStuck = state.writeAgeMs >= DISK_STUCK_MS;
    if (!mainStuck && !diskStuck) return;
    this.#handedOverAt = now;
    const fields = { silentMs: mainStuck ? silentMs : 0, writeAgeMs: state.writeAgeMs };
    this.#ports.logger.warn(
      fields,
      mainStuck
        ? 'the main thread is stuck: handing leadership over'
        : 'the disk of the Raft log hangs: handing leadership over',
    );
    this.#ports.handOver();
  }
}
