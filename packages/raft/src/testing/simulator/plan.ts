/** What one seed plays: the size of the group, the rates of faults, the sizes of everything. */
import type { RaftConfig, RaftId } from '../../core/types.ts';
import { productionConfig } from '../../core/config.ts';
import type { Chance } from './chance.ts';
import type { NetworkRates } from './sim-network.ts';

export const TICK_MS = 10;
export const ELECTION_TICKS = 10;
export const ELECTION_MS = TICK_MS * ELECTION_TICKS;

export interface Plan {
  readonly voters: readonly RaftId[];
  readonly faultyMs: number;
  readonly network: NetworkRates;
  readonly maxDiskMs: number;
  /** Mean time between two faults of the nemesis. */
  readonly faultEveryMs: number;
  readonly writeEveryMs: number;
  readonly readEveryMs: number;
  /** 0: the membership stays as it is. */
  readonly changeEveryMs: number;
  readonly snapshotEvery: number;
  /** Of a node's clock: its tick takes TICK_MS times this. */
  readonly clockDrift: number;
  readonly config: (id: RaftId, applied: number) => RaftConfig;
}

/** Each kind of trouble is absent from some seeds, so that rare combinations meet quiet ones. */
export function planFor(chance: Chance): Plan {
  const maybe = (p: number, value: () => number, otherwise: number): number =>
    chance.happens(p) ? value() : otherwise;
  const size = chance.pick([1, 2, 3, 3, 3, 5, 5]) ?? 3;
  const sizes = {
    maxMessageBytes: chance.between(16, 400),
    maxCommittedBytes: chance.between(32, 800),
    maxUncommittedBytes: chance.between(100, 4000),
    maxInflightMessages: chance.between(1, 8),
    maxInflightBytes: chance.between(400, 2000),
    heartbeatTicks: chance.between(1, 3),
    holdUntilTermIsDurable: chance.happens(0.5),
  };
  return {
    voters: Array.from({ length: size }, (_, position) => position + 1),
    faultyMs: 2500,
    network: {
      drop: maybe(0.6, () => chance.next() * 0.2, 0),
      duplicate: maybe(0.4, () => chance.next() * 0.2, 0),
      maxDelayMs: maybe(0.3, () => chance.between(10, 80), 4),
    },
    maxDiskMs: maybe(0.3, () => chance.between(10, 60), 3),
    faultEveryMs: maybe(0.85, () => chance.between(100, 800), Infinity),
    writeEveryMs: chance.between(3, 30),
    readEveryMs: chance.between(10, 60),
    changeEveryMs: maybe(0.5, () => chance.between(100, 600), 0),
    snapshotEvery: maybe(0.6, () => chance.between(5, 40), 200),
    clockDrift: maybe(0.3, () => chance.next() * 0.3, 0),
    config: (id, applied) => ({
      ...productionConfig(id, applied),
      electionTicks: ELECTION_TICKS,
      snapshotTicks: 20,
      ...sizes,
    }),
  };
}
