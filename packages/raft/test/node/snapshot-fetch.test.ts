/** The two ends of a snapshot's way, with a connection between them that fails as it is told. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger, type Clock } from '@swarmd/base';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { SnapshotMessage } from '../../src/core/types.ts';
import { SNAPSHOT_FETCH_ATTEMPTS, SNAPSHOT_IDLE_MS } from '../../src/node/limits.ts';
import { SnapshotFetcher } from '../../src/node/transport/snapshot-fetcher.ts';
import { SnapshotServer } from '../../src/node/transport/snapshot-server.ts';
import type { SnapshotStream } from '../../src/node/transport/raft-client.ts';
import type { WireFetchRequest, WireSnapshotFrame } from '../../src/node/transport/wire.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { EMPTY_CONF, type SnapshotDescriptor, type SnapshotRecord } from '../../src/wal/header.ts';
import { SnapshotFolder } from '../../src/wal/snapshot-folder.ts';

const DESCRIPTOR: SnapshotDescriptor = {
  index: 7,
  term: 2,
  confState: EMPTY_CONF,
  members: [],
  removed: [],
};
/** Besides the descriptor, which is frame 0. */
const PAYLOADS = ['one', '', 'three'.repeat(100), 'four', 'five'].map((text) => Buffer.from(text));
const LEADER = 1;

/** What becomes of the frame of that number, once. */
interface Fault {
  readonly frame: number;
  readonly kind: 'break' | 'damage' | 'lose';
}

/** Pauses between attempts take no time; nothing is idle for long. */
const hasty: Clock = {
  now: () => 0,
  monotonic: () => 0,
  after: (ms, fn) => {
    if (ms < SNAPSHOT_IDLE_MS) queueMicrotask(fn);
    return { cancel: () => undefined };
  },
};

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-fetch-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

class Transfer {
  /** First frame that each attempt asked for. */
  readonly asked: number[] = [];
  readonly #from: SnapshotFolder;
  readonly #to: SnapshotFolder;
  readonly #faults: Fault[];

  constructor(place: string, faults: readonly Fault[]) {
    this.#from = new SnapshotFolder(new DiskStorage(join(place, 'leader')), undefined);
    this.#to = new SnapshotFolder(new DiskStorage(join(place, 'follower')), undefined);
    this.#faults = [...faults];
  }

  /** Resolves with what the follower has in the end: its frames, or undefined. */
  async run(): Promise<readonly string[] | undefined> {
    const record = await this.#write();
    const server = new SnapshotServer({
      clock: hasty,
      logger: silentLogger,
      folder: this.#from,
      snapshots: () => [record],
      onOutcome: () => undefined,
    });
    let fetched: SnapshotRecord | undefined;
    const fetcher = new SnapshotFetcher({
      clock: hasty,
      logger: silentLogger,
      folder: this.#to,
      self: { clusterId: 'c', raftId: 2 },
      connect: () => ({
        fetchSnapshot: (request) => this.#connection(server, request),
        close: () => undefined,
      }),
      onFetched: (_message, arrived) => (fetched = arrived),
    });
    fetcher.fetch(announcement());
    while (fetcher.busy) await new Promise(setImmediate);
    if (fetched === undefined) return undefined;
    const frames = await Array.fromAsync(this.#to.frames(fetched));
    return frames.map((frame) => frame.toString());
  }

  async #write(): Promise<SnapshotRecord> {
    await using writer = await this.#from.beginWith(DESCRIPTOR);
    for (const payload of PAYLOADS) await writer.append(payload);
    return this.#from.record(DESCRIPTOR, await writer.finish());
  }

  #connection(server: SnapshotServer, request: WireFetchRequest): SnapshotStream {
    this.asked.push(request.firstFrame);
    const fault = this.#faults.shift();
    const frames: WireSnapshotFrame[] = [];
    const done = Promise.withResolvers<void>();
    server.serve(
      {
        send: (frame) => Promise.resolve(void frames.push(frame)),
        end: () => done.resolve(),
        refuse: (_code, details) => done.reject(new Error(details)),
      },
      { from: request.from, last: DESCRIPTOR, firstFrame: request.firstFrame },
    );
    return {
      cancel: () => undefined,
      async *[Symbol.asyncIterator]() {
        await done.promise;
        for (const frame of frames) {
          if (frame.number !== fault?.frame) yield frame;
          else if (fault.kind === 'damage') yield { ...frame, payload: Buffer.from('damage') };
          else if (fault.kind === 'break') throw new Error('the connection broke');
        }
      },
    };
  }
}

function announcement(): SnapshotMessage {
  const snapshot = { index: DESCRIPTOR.index, term: DESCRIPTOR.term, confState: EMPTY_CONF };
  return { kind: 'snapshot', from: LEADER, to: 2, term: 2, snapshot };
}

/** Each one writes and syncs two files. */
const RUNS = 40;
const FRAMES = 1 + PAYLOADS.length;
const WHOLE = PAYLOADS.map(String);

const faults = fc.array(
  fc.oneof(
    // The frame after the last one is the digest.
    fc.record({ kind: fc.constant('break' as const), frame: fc.nat(FRAMES) }),
    fc.record({ kind: fc.constant('damage' as const), frame: fc.nat(FRAMES - 1) }),
    fc.record({ kind: fc.constant('lose' as const), frame: fc.nat(FRAMES - 2) }),
  ),
  { maxLength: SNAPSHOT_FETCH_ATTEMPTS + 1 },
);

/** First frame of each attempt: the first one that did not arrive whole. */
function expectedAttempts(given: readonly Fault[]): readonly number[] {
  const asked = [0];
  for (const { frame } of given) {
    if (frame < (asked.at(-1) ?? 0) || asked.length === SNAPSHOT_FETCH_ATTEMPTS) break;
    asked.push(frame);
  }
  return asked;
}

test('42: a fetch that breaks goes on at the first frame that is missing, a few times', async () => {
  let round = 0;
  await fc.assert(
    fc.asyncProperty(faults, async (given) => {
      const place = join(directory, String((round += 1)));
      const transfer = new Transfer(place, given);
      const result = await transfer.run();
      const attempts = expectedAttempts(given);
      expect(transfer.asked).toEqual(attempts);
      const last = given[attempts.length - 1];
      const failed = last !== undefined && last.frame >= (attempts.at(-1) ?? 0);
      expect(result?.slice(1)).toEqual(failed ? undefined : WHOLE);
      // What is not whole is not kept.
      expect(readdirSync(join(place, 'follower', 'snapshots'))).toHaveLength(failed ? 0 : 1);
    }),
    { numRuns: RUNS },
  );
});
