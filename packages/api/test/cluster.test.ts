import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { asId } from '@swarmd/model';
import { createJoinToken, fetchRootCa } from '@swarmd/pki';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  connect,
  createCaClient,
  createClusterServer,
  createControlClient,
  createDispatcherClient,
  createLeaderClient,
  createLocalClient,
  serveCa,
  serveControl,
  serveDispatcher,
  serveLeader,
  serveLocal,
  type Call,
  type ClientTls,
  type ClusterServer,
  type Control,
  type Local,
  type Origin,
  type ServerTls,
} from '../src/index.ts';
import { createCluster, partial, until } from './support/identities.ts';

const cluster = createCluster('c1');
const otherCluster = createCluster('c2');
const manager = cluster.member('m1', 'manager');
const secondManager = cluster.member('m2', 'manager');
const worker = cluster.member('w1', 'worker');
const joiner: ClientTls = { caPem: cluster.root.certificatePem };
const call: Call = { signal: new AbortController().signal };

let stack: AsyncDisposableStack;
let server: ClusterServer;
let serverTls: ServerTls;
/** What the implementations were called with. */
let calls: Pick<Call, 'peer' | 'local' | 'forwardedBy'>[];

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  calls = [];
  serverTls = manager;
  server = stack.use(
    await createClusterServer({ host: '127.0.0.1', port: 0, tls: () => serverTls }),
  );
  const note = ({ signal: _signal, ...rest }: Call): void => void calls.push(rest);
  serveCa(server, {
    issueCertificate: (_, call) => {
      note(call);
      const made = { nodeId: asId('node', 'n'), role: 'worker', clusterId: 'c1' } as const;
      return Promise.resolve({ ...made, certificatePem: 'a', caPem: 'b' });
    },
  });
  serveLeader(server, {
    reportSessions: (_, call) => Promise.resolve(note(call)),
    reportStatuses: (_, call) => Promise.resolve(note(call)),
    reportApplied: (_, call) => Promise.resolve(note(call)),
    reportUsage: (_, call) => Promise.resolve(note(call)),
  });
  serveDispatcher(server, {
    async *session(messages, call) {
      note(call);
      for await (const _ of messages) yield { kind: 'heartbeat' };
    },
  });
  serveControl(
    server,
    partial<Control>({
      removeNode: (_, call) => Promise.resolve(note(call)),
    }),
  );
  serveLocal(server, partial<Local>({ leave: (_, call) => Promise.resolve(note(call)) }));
});
afterEach(() => stack.disposeAsync());

function channelAs(tls: ClientTls, wanted: { serverRole?: 'manager' | 'worker' } = {}) {
  const address = `127.0.0.1:${server.port}`;
  return stack.use(connect({ address, tls: () => tls, clusterId: 'c1', ...wanted }));
}

const CALLS = {
  issueCertificate: (tls: ClientTls, call: Call) =>
    createCaClient(channelAs(tls)).issueCertificate({ csrPem: '' }, call),
  session: (tls: ClientTls, call: Call) =>
    Array.fromAsync(createDispatcherClient(channelAs(tls)).session(hello(), call)),
  reportSessions: (tls: ClientTls, call: Call) =>
    createLeaderClient(channelAs(tls)).reportSessions({ live: [], lost: [], away: [] }, call),
  removeNode: (tls: ClientTls, call: Call) =>
    createControlClient(channelAs(tls)).removeNode({ id: asId('node', 'n'), force: true }, call),
  leave: (tls: ClientTls, call: Call) =>
    createLocalClient(channelAs(tls)).leave({ force: true }, call),
};

async function* hello() {
  yield { kind: 'heartbeat' } as const;
}

describe('who may call what', () => {
  const peer = (nodeId: string, role: string) => ({ peer: { nodeId, role, clusterId: 'c1' } });
  const callers = {
    joiner: { tls: joiner, caller: {} },
    worker: { tls: worker, caller: peer('w1', 'worker') },
    manager: { tls: secondManager, caller: peer('m2', 'manager') },
  };

  it.each([
    ['joiner', 'issueCertificate'],
    ['worker', 'issueCertificate'],
    ['worker', 'session'],
    ['manager', 'issueCertificate'],
    ['manager', 'session'],
    ['manager', 'reportSessions'],
    ['manager', 'removeNode'],
  ] as const)('a %s may call %s', async (role, method) => {
    const { tls, caller } = callers[role];
    await CALLS[method](tls, call);
    expect(calls).toEqual([caller]);
  });

  it.each([
    ['joiner', 'session', 'unauthenticated'],
    ['joiner', 'reportSessions', 'unauthenticated'],
    ['joiner', 'removeNode', 'unauthenticated'],
    ['joiner', 'leave', 'permission-denied'],
    ['worker', 'reportSessions', 'permission-denied'],
    ['worker', 'removeNode', 'permission-denied'],
    ['worker', 'leave', 'permission-denied'],
    ['manager', 'leave', 'permission-denied'],
  ] as const)('a %s may not call %s', async (role, method, code) => {
    await expect(CALLS[method](callers[role].tls, call)).rejects.toMatchObject({ code });
    expect(calls).toEqual([]);
  });
});

describe('a call passed on', () => {
  const peer = {
    nodeId: asId('node', 'w9'),
    role: 'worker',
    clusterId: asId('cluster', 'c1'),
  } as const;
  const forwardedBy = { nodeId: 'm2', role: 'manager', clusterId: 'c1' };

  it('is made in the name of its origin', async () => {
    const asked: [keyof typeof CALLS, Origin][] = [
      ['removeNode', { local: true }],
      ['issueCertificate', { local: false, peer }],
      ['issueCertificate', { local: false }],
    ];
    for (const [method, onBehalfOf] of asked) {
      await CALLS[method](secondManager, { ...call, onBehalfOf });
    }
    expect(calls).toEqual([{ forwardedBy, local: true }, { forwardedBy, peer }, { forwardedBy }]);
  });

  it('needs the right of its origin, and a manager to pass it on', async () => {
    const refused: [keyof typeof CALLS, ClientTls, Origin][] = [
      ['removeNode', secondManager, { local: false, peer }],
      ['removeNode', secondManager, { local: false }],
      ['leave', secondManager, { local: true }],
      ['issueCertificate', worker, { local: true }],
      ['issueCertificate', joiner, { local: false, peer }],
    ];
    for (const [method, tls, onBehalfOf] of refused) {
      await expect(CALLS[method](tls, { ...call, onBehalfOf })).rejects.toMatchObject({
        code: expect.stringMatching(/permission-denied|unauthenticated/) as string,
      });
    }
    expect(calls).toEqual([]);
  });
});

describe('certificates', () => {
  it('of another cluster are refused from both sides', async () => {
    const stranger = otherCluster.member('m1', 'manager');
    const disguised = { ...stranger, caPem: cluster.root.certificatePem };
    for (const tls of [stranger, disguised]) {
      await expect(CALLS.issueCertificate(tls, call)).rejects.toMatchObject({
        code: 'unavailable',
      });
    }
    expect(calls).toEqual([]);
  });

  it('of this root that name another cluster are worth nothing', async () => {
    const { root } = cluster;
    const { createKeyAndCsr, signNodeCertificate } = await import('@swarmd/pki');
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: root.certificatePem,
      caKey: root.keyPem,
      csrPem,
      nodeId: 'm1',
      clusterId: 'c9',
      role: 'manager',
      expiryMs: 3_600_000,
      now: Date.now(),
    });
    const tls = { keyPem, certificatePem, caPem: root.certificatePem };
    await expect(CALLS.removeNode(tls, call)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('that have expired are refused', async () => {
    const { root } = cluster;
    const { createKeyAndCsr, signNodeCertificate } = await import('@swarmd/pki');
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: root.certificatePem,
      caKey: root.keyPem,
      csrPem,
      nodeId: 'm1',
      clusterId: 'c1',
      role: 'manager',
      expiryMs: 1_000,
      now: Date.now() - 60_000,
    });
    const tls = { keyPem, certificatePem, caPem: root.certificatePem };
    await expect(CALLS.issueCertificate(tls, call)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('must carry the role, the cluster and the node that the client wants', async () => {
    serverTls = cluster.member('w2', 'worker');
    server.refreshTls();
    const address = `127.0.0.1:${server.port}`;
    const ask = (wanted: object): Promise<unknown> =>
      createCaClient(
        stack.use(connect({ address, tls: () => secondManager, ...wanted })),
      ).issueCertificate({ csrPem: '' }, call);
    await ask({ serverRole: 'worker', clusterId: 'c1', serverNodeId: 'w2' });
    await expect(ask({ serverRole: 'manager' })).rejects.toThrow(/of a worker, not of a manager/);
    await expect(ask({ clusterId: 'c2' })).rejects.toThrow(/of cluster c1, not c2/);
    await expect(ask({ serverNodeId: 'm1' })).rejects.toThrow(/of node w2, not m1/);
  });

  it('can be replaced: new connections have the new ones, and calls go on', async () => {
    const address = `127.0.0.1:${server.port}`;
    let tls = worker;
    const channel = stack.use(connect({ address, tls: () => tls, clusterId: 'c1' }));
    let more = (): void => undefined;
    const messages = async function* () {
      yield { kind: 'heartbeat' } as const;
      await new Promise<void>((resolve) => (more = resolve));
      yield { kind: 'heartbeat' } as const;
    };
    const stream = createDispatcherClient(channel).session(messages(), call);
    const session = stream[Symbol.asyncIterator]();
    expect((await session.next()).value).toEqual({ kind: 'heartbeat' });
    tls = cluster.member('w1', 'manager');
    const leader = createLeaderClient(channel);
    await leader.reportSessions({ live: [], lost: [], away: [] }, call);
    more();
    expect((await session.next()).value).toEqual({ kind: 'heartbeat' });
    expect((await session.next()).done).toBe(true);
    expect(calls.map(({ peer }) => peer?.role)).toEqual(['worker', 'manager']);
  });
});

describe('the port', () => {
  it('shows its root to who has a token', async () => {
    const token = createJoinToken(cluster.root.certificatePem);
    const address = `127.0.0.1:${server.port}`;
    const root = await fetchRootCa({ address, token, signal: AbortSignal.timeout(5_000) });
    expect(root).toBe(cluster.root.certificatePem);
  });

  it('takes only small messages from joiners', async () => {
    const big = { csrPem: 'x'.repeat(20_000) };
    const ask = (tls: ClientTls): Promise<unknown> =>
      createCaClient(channelAs(tls)).issueCertificate(big, call);
    await expect(ask(joiner)).rejects.toMatchObject({ code: 'resource-exhausted' });
    await ask(worker);
  });

  it('has room for only so many joiners, and nodes are not affected', async () => {
    const sockets: TLSSocket[] = [];
    stack.defer(() => sockets.forEach((socket) => socket.destroy()));
    let refused = 0;
    for (let count = 0; count < 66; count += 1) {
      const socket = connectTls({
        port: server.port,
        host: '127.0.0.1',
        ca: cluster.root.certificatePem,
        checkServerIdentity: () => undefined,
        ALPNProtocols: ['h2'],
      });
      socket.on('error', () => undefined).on('close', () => (refused += 1));
      sockets.push(socket.resume());
      await once(socket, 'secureConnect');
    }
    await until(() => refused === 2, 'two of 66 are turned away');
    await CALLS.reportSessions(secondManager, call);
  });

  it('is unavailable, and not asked anything, when connecting takes too long', async () => {
    const silent = createTcpServer().listen(0, '127.0.0.1');
    stack.defer(() => void silent.close());
    await once(silent, 'listening');
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const channel = stack.use(connect({ address, tls: () => worker }));
    const message = expect.stringContaining('has not answered in 3000 ms') as string;
    const asked = [
      createControlClient(channel).removeNode({ id: asId('node', 'n'), force: true }, call),
      Array.fromAsync(createDispatcherClient(channel).session(hello(), call)),
    ];
    for (const outcome of await Promise.allSettled(asked)) {
      expect(outcome).toMatchObject({ reason: { code: 'unavailable', message } });
    }
  });

  it('says so when it is taken', async () => {
    await expect(
      createClusterServer({ host: '127.0.0.1', port: server.port, tls: () => manager }),
    ).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining(`127.0.0.1:${server.port}`) as string,
    });
  });

  it('is free again after its server is gone, and clients come back to a new one', async () => {
    const { port } = server;
    const leader = createLeaderClient(channelAs(secondManager));
    await leader.reportSessions({ live: [], lost: [], away: [] }, call);
    await server[Symbol.asyncDispose]();
    await expect(
      leader.reportSessions({ live: [], lost: [], away: [] }, call),
    ).rejects.toMatchObject({
      code: 'unavailable',
    });
    const next = stack.use(
      await createClusterServer({ host: '127.0.0.1', port, tls: () => manager }),
    );
    let again = 0;
    const counted = (): Promise<void> => Promise.resolve(void (again += 1));
    serveLeader(next, {
      reportSessions: counted,
      reportStatuses: counted,
      reportApplied: counted,
      reportUsage: counted,
    });
    let back = false;
    void (async () => {
      while (!back) {
        back = await leader.reportSessions({ live: [], lost: [], away: [] }, call).then(
          () => true,
          () => false,
        );
      }
    })();
    await until(() => back, 'the client is connected again');
    expect(again).toBe(1);
  });
});
