import { silentLogger } from '@swarmd/base';
import { systemClock, systemIds } from '@swarmd/base/system';
import { until } from '@swarmd/base/testing';
import type { RaftMember } from '@swarmd/raft';
import { createMemoryStore } from '@swarmd/store/testing';
import { expect, it } from 'vitest';

import { createCa } from '../src/identity/ca.ts';
import type { Duties } from '../src/leadership/duties.ts';
import { LeaderRoute } from '../src/leadership/leader-route.ts';
import { Leadership } from '../src/leadership/leadership.ts';
import type { ManagerClients } from '../src/net/peers.ts';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';

const MEMBERS: RaftMember[] = [
  { raftId: 1, nodeId: 'me', address: 'me:1', role: 'voter' },
  { raftId: 2, nodeId: 'leader', address: 'leader:1', role: 'voter' },
];

/** Is behind until it is told to be there. */
class LateRaft extends FakeRaft {
  asked = 0;
  catchUp: () => void = () => undefined;

  override readBarrier(): Promise<void> {
    this.asked += 1;
    return new Promise((resolve) => (this.catchUp = resolve));
  }
}

it('a certificate from the leader is given once this manager knows its node, too', async () => {
  const raft = new LateRaft(NO_MACHINE, MEMBERS);
  const deps = { raft, clock: systemClock };
  await using leadership = new Leadership<Duties>({
    ...deps,
    logger: silentLogger,
    open: () => Promise.resolve({} as Duties),
  });
  const issued = { certificatePem: 'one' };
  const leader = { ca: { issueCertificate: () => Promise.resolve(issued) } };
  const clientsOf = (): ManagerClients => leader as unknown as ManagerClients;
  using route = new LeaderRoute({ ...deps, leadership, clientsOf });
  const ca = createCa({ ...deps, route, store: createMemoryStore(), ids: systemIds });
  raft.follow(2, 2);

  let isTold = false;
  const answer = ca
    .issueCertificate({ csrPem: 'csr', token: 'token' }, { signal: AbortSignal.timeout(20_000) })
    .finally(() => (isTold = true));
  await until('this manager to catch up', () => raft.asked === 1 || isTold);
  expect(isTold).toBe(false);
  raft.catchUp();
  expect(await answer).toBe(issued);
});
