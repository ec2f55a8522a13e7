/** The end of a member, whose thread must not be cut off while somebody speaks to it: Node would abort. */
import { connect, type ClientHttp2Session } from 'node:http2';

import { expect, test } from 'vitest';

import { TEST_MS, TestCluster, type TestMember } from './cluster.ts';

const ROUNDS = 8;
const CLIENTS = 12;
const STREAMS = 5;
const BODY = Buffer.alloc(20_000);
const DELIVER = {
  ':method': 'POST',
  ':path': '/swarmd.raft.v1.Raft/Deliver',
  'content-type': 'application/grpc',
  te: 'trailers',
};

/** Connections that come again and again, with streams that do. */
class Crowd implements Disposable {
  readonly #member: TestMember;
  readonly #sessions = new Set<ClientHttp2Session>();
  #ended = 0;
  #isOver = false;
  #onEnough: () => void = () => undefined;
  /** Some streams have come to their end: all is under way. */
  readonly enough = new Promise<void>((resolve) => (this.#onEnough = resolve));

  constructor(member: TestMember) {
    this.#member = member;
    for (let client = 0; client < CLIENTS; client += 1) this.#open();
  }

  #open(): void {
    if (this.#isOver) return;
    const { advertise, tls } = this.#member.options;
    const own = { key: tls.keyPem, cert: tls.certificatePem, rejectUnauthorized: false };
    const session = connect(`https://${advertise}`, own);
    this.#sessions.add(session);
    // What follows is the close.
    session.on('error', () => undefined);
    session.on('close', () => {
      this.#sessions.delete(session);
      setImmediate(() => this.#open());
    });
    this.#ask(session);
  }

  #ask(session: ClientHttp2Session): void {
    if (this.#isOver || session.destroyed) return;
    for (let stream = 0; stream < STREAMS; stream += 1) {
      const asked = session.request(DELIVER);
      asked.on('error', () => undefined);
      asked.on('close', () => {
        this.#ended += 1;
        if (this.#ended === CLIENTS) this.#onEnough();
        setImmediate(() => this.#ask(session));
      });
      asked.resume().write(BODY);
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const session of this.#sessions) session.destroy();
  }
}

test('a member stops in the midst of connections and streams', { timeout: TEST_MS }, async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    await using cluster = new TestCluster();
    const member = await cluster.start('m1', 'bootstrap');
    using crowd = new Crowd(member);
    await crowd.enough;
    await expect(cluster.stop('m1')).resolves.toBeUndefined();
  }
});
