import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ConfState, Entry, EntryId, Message } from '../../src/core/types.ts';
import { decodeMessage, encodeMessage } from '../../src/node/transport/message-codec.ts';
import { raftService } from '../../src/node/transport/proto.ts';
import type { WireDelivery, WireMessage } from '../../src/node/transport/wire.ts';

const { Deliver } = raftService(undefined).service;

/** Through the bytes that travel. */
function throughTheWire(message: WireMessage): WireMessage {
  const bytes = Deliver!.requestSerialize({ messages: [message] });
  const delivery = Deliver!.requestDeserialize(bytes) as WireDelivery;
  return delivery.messages![0]!;
}

const index = fc.maxSafeNat();
const id: fc.Arbitrary<EntryId> = fc.record({ term: index, index });
const ids = fc.array(index, { maxLength: 4 });
const entry: fc.Arbitrary<Entry> = fc.record({
  term: index,
  index,
  kind: fc.constantFrom('normal' as const, 'confChange' as const),
  data: fc.uint8Array({ maxLength: 40 }),
});
const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
const bodies = [
  fc.record({
    kind: fc.constant('append' as const),
    previous: id,
    commit: index,
    entries: fc.array(entry, { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('appendReply' as const), index, reject: fc.boolean(), hint: id }),
  fc.record({
    kind: fc.constantFrom('vote' as const, 'preVote' as const),
    last: id,
    transfer: fc.boolean(),
    commit: id,
  }),
  fc.record({
    kind: fc.constantFrom('voteReply' as const, 'preVoteReply' as const),
    reject: fc.boolean(),
    commit: id,
  }),
  fc.record({ kind: fc.constant('heartbeat' as const), commit: index, readSeq: index }),
  fc.record({ kind: fc.constant('heartbeatReply' as const), readSeq: index }),
  fc.record({
    kind: fc.constant('snapshot' as const),
    snapshot: fc.record({ term: index, index, confState }),
  }),
  fc.record({ kind: fc.constant('timeoutNow' as const) }),
  fc.record({ kind: fc.constant('transfer' as const), target: index }),
  fc.record({ kind: fc.constant('readIndex' as const), id: index }),
  fc.record({ kind: fc.constant('readIndexReply' as const), id: index, index }),
];
const message: fc.Arbitrary<Message> = fc
  .tuple(fc.record({ from: index, to: index, term: index }), fc.oneof(...bodies))
  .map(([head, body]) => ({ ...head, ...body }));

test('every message survives the wire', () => {
  fc.assert(
    fc.property(message, (sent) => {
      const wire = encodeMessage(sent);
      const received = decodeMessage(throughTheWire(wire!));
      expect(plain(received)).toEqual(plain(sent));
    }),
    { numRuns: 500 },
  );
});

test('numbers that are not safe integers, and kinds unknown here, do not get in', () => {
  const head = { from: 1, to: 2, term: 3 };
  const huge = { ...head, heartbeat: { commit: 2 ** 60, readSeq: 0 } };
  expect(decodeMessage(throughTheWire(huge))).toBeUndefined();
  expect(decodeMessage(throughTheWire(head))).toBeUndefined();
});

/** Buffers and arrays of bytes compare alike. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
}
