/** The queue to one peer, whose stream takes nothing any more. */
import type { ClientWritableStream } from '@grpc/grpc-js';
import { silentLogger } from '@swarmd/base';
import { ManualClock, SeededRandom } from '@swarmd/base/testing';
import { expect, test } from 'vitest';

import type { Message } from '../../src/core/types.ts';
import { PEER_QUEUE_BYTES, PEER_QUEUE_MESSAGES } from '../../src/node/limits.ts';
import { PeerLink } from '../../src/node/transport/peer-link.ts';
import type { WireDelivery } from '../../src/node/transport/wire.ts';

const MIB = 1024 * 1024;

/** Takes one delivery, and answers that it is full. */
function slowPeer() {
  const lost: number[] = [];
  let drain = (): void => undefined;
  let deliveries = 0;
  const stream = {
    on: (event: string, listener: () => void) => {
      if (event === 'drain') drain = listener;
      return stream;
    },
    write: (delivery: WireDelivery) => {
      deliveries += delivery.messages === undefined ? 0 : 1;
      return delivery.messages === undefined;
    },
    cancel: () => undefined,
  } as unknown as ClientWritableStream<WireDelivery>;
  const link = new PeerLink(
    { raftId: 2, nodeId: 'm2', address: 'm2:1' },
    {
      clock: new ManualClock(),
      random: new SeededRandom(1),
      logger: silentLogger,
      connect: () => ({
        deliver: () => stream,
        fetchSnapshot: () => expect.unreachable(),
        close: () => undefined,
      }),
      hello: () => ({
        clusterId: 'c',
        from: 1,
        to: 2,
        nodeId: 'm1',
        address: 'm1:1',
        incarnation: 0,
      }),
      onUnreachable: (peer) => lost.push(peer),
      onRemoved: () => undefined,
    },
  );
  return { link, lost, drained: () => drain(), deliveries: () => deliveries };
}

function append(bytes: number): Message {
  const entry = { term: 3, index: 11, kind: 'normal', data: new Uint8Array(bytes) } as const;
  const previous = { term: 3, index: 10 };
  return { from: 1, to: 2, term: 3, kind: 'append', previous, commit: 9, entries: [entry] };
}

test('68: a peer that reads slowly costs so many bytes, and is probed beyond that', () => {
  const { link, lost, drained, deliveries } = slowPeer();
  for (let i = 0; i < 20; i += 1) {
    link.enqueue(append(MIB));
    link.flush();
  }
  const { queuedBytes, queuedMessages } = link.report();
  expect(queuedBytes).toBeGreaterThan(PEER_QUEUE_BYTES - 2 * MIB);
  expect(queuedBytes).toBeLessThanOrEqual(PEER_QUEUE_BYTES);
  // One is on its way; those without a place were lost, and the core was told of each.
  expect(queuedMessages + lost.length + 1).toBe(20);
  expect(deliveries()).toBe(1);
  drained();
  expect(deliveries()).toBe(2);
  link[Symbol.dispose]();
  expect(link.report().queuedBytes).toBe(0);
});

test('68: small messages are bounded by their number', () => {
  const { link, lost } = slowPeer();
  for (let i = 0; i < PEER_QUEUE_MESSAGES + 100; i += 1) {
    link.enqueue({ from: 1, to: 2, term: 3, kind: 'heartbeat', commit: 9, readSeq: i });
    link.flush();
  }
  expect(link.report().queuedMessages).toBe(PEER_QUEUE_MESSAGES);
  expect(lost).toHaveLength(99);
  link[Symbol.dispose]();
});
