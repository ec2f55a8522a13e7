/** What one seed plays: the size of the group, the rates of faults, the sizes of everything. */
import type { RaftConfig, RaftId } from '../../core/types.ts';
import type { RaftTiming } from '../../node/types.ts';
import type { Dice } from '@swarmd/base/testing';
import { MOMENTS, type Moment } from './sim-member.ts';
import type { NetworkRates } from './sim-network.ts';

const TICK_MS = 50;
const ELECTION_TICKS = 10;
export const ELECTION_MS = TICK_MS * ELECTION_TICKS;

export interface Plan {
  readonly voters: readonly RaftId[];
  readonly faultyMs: number;
  readonly network: NetworkRates;
  /** Of frames of snapshots. */
  readonly garble: number;
  readonly maxDiskMs: number;
  /** What a batch of the database may take besides. */
  readonly databaseMs: number;
  /** Mean time between two faults of the nemesis. */
  readonly faultEveryMs: number;
  /** Disks may fail and lose what they had: on few at a time, so that a quorum stays whole. */
  readonly badDisks: boolean;
  /** Of awkward crashes. */
  readonly moments: readonly Moment[];
  readonly writeEveryMs: number;
  readonly readEveryMs: number;
  /** 0: the membership stays as it is. */
  readonly changeEveryMs: number;
  readonly snapshotEvery: number;
  /** Of a member's clock: its second takes between 1 - drift and 1 + drift of the world's. */
  readonly clockDrift: number;
  readonly timing: RaftTiming;
  readonly limits: Partial<RaftConfig>;
}

/** Each kind of trouble is absent from some seeds, so that rare combinations meet quiet ones. */
export function planFor(chance: Dice): Plan {
  const maybe = (p: number, value: () => number, otherwise: number): number =>
    chance.happens(p) ? value() : otherwise;
  const size = chance.maybe([1, 2, 3, 3, 3, 5, 5]) ?? 3;
  const limits = {
    maxMessageBytes: chance.between(16, 400),
    maxCommittedBytes: chance.between(32, 800),
    maxUncommittedBytes: chance.between(100, 4000),
    maxInflightMessages: chance.between(1, 8),
    maxInflightBytes: chance.between(400, 2000),
    snapshotTicks: 2 * ELECTION_TICKS,
    holdUntilTermIsDurable: chance.happens(0.5),
  };
  return {
    voters: Array.from({ length: size }, (_, position) => position + 1),
    faultyMs: 12_500,
    network: {
      drop: maybe(0.6, () => chance.next() * 0.2, 0),
      duplicate: maybe(0.4, () => chance.next() * 0.2, 0),
      maxDelayMs: maybe(0.3, () => chance.between(50, 400), 20),
    },
    garble: maybe(0.3, () => chance.next() * 0.05, 0),
    maxDiskMs: maybe(0.3, () => chance.between(20, 150), 5),
    databaseMs: maybe(0.2, () => chance.between(20, 200), 0),
    faultEveryMs: maybe(0.85, () => chance.between(300, 2500), Infinity),
    badDisks: chance.happens(0.5),
    moments: MOMENTS,
    writeEveryMs: chance.between(15, 150),
    readEveryMs: chance.between(50, 300),
    changeEveryMs: maybe(0.5, () => chance.between(500, 3000), 0),
    snapshotEvery: maybe(0.6, () => chance.between(2, 40), 200),
    clockDrift: maybe(0.3, () => chance.next() * 0.3, 0),
    timing: {
      tickMs: TICK_MS,
      heartbeatTicks: chance.between(1, 3),
      electionTicks: ELECTION_TICKS,
    },
    limits,
  };
}
