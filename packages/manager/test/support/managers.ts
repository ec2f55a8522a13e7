/** Real managers on loopback ports, with everything cleaned up at the end of a test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  connect,
  createCaClient,
  createControlClient,
  createMembershipClient,
  type Channel,
  type Control,
} from '@swarmd/api';
import { silentLogger } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { freePort } from '@swarmd/base/testing';
import { asId, type ClusterId, type ClusterSpec, type NodeId } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate } from '@swarmd/pki';

import {
  startManager,
  type Manager,
  type ManagerIdentity,
  type ManagerOptions,
} from '../../src/index.ts';
import { FakeAgent } from './fake-agent.ts';

const CERTIFICATE_MS = 3_600_000;
/** Fast enough for tests, slow enough for a busy machine with two cores. */
const TIMING = { tickMs: 50, heartbeatTicks: 1, electionTicks: 10 };
const SPEC: Partial<ClusterSpec> = { heartbeatPeriodMs: 100, nodeDownAfterMs: 1_000 };

export const CALL_MS = 20_000;
export const aCall = () => ({ signal: AbortSignal.timeout(CALL_MS) });

export interface Host {
  readonly manager: Manager;
  readonly control: Control;
  readonly identity: ManagerIdentity;
  readonly nodeId: NodeId;
  readonly options: ManagerOptions;
}

interface Ports {
  readonly api: number;
  readonly raft: number;
}

/** One cluster of a test. */
export class TestCluster implements AsyncDisposable {
  /** Those that run. */
  readonly hosts: Host[] = [];
  readonly agents: FakeAgent[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #clusterId: ClusterId = asId('cluster', systemIds.next());

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.manager[Symbol.asyncDispose]()));
    await this.#stack.disposeAsync();
  }

  /** The first manager. */
  async init(spec: Partial<ClusterSpec> = {}): Promise<Host> {
    const rootCa = createRootCa({ now: Date.now() });
    const nodeId = asId('node', systemIds.next());
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: rootCa.certificatePem,
      caKey: rootCa.keyPem,
      csrPem,
      nodeId,
      clusterId: this.#clusterId,
      role: 'manager',
      expiryMs: CERTIFICATE_MS,
      now: Date.now(),
    });
    const identity = { certificatePem, keyPem, caPem: rootCa.certificatePem };
    return this.#start({
      nodeId,
      identity,
      raftId: 1,
      start: 'bootstrap',
      bootstrap: { clusterSpec: { ...SPEC, ...spec }, rootCa },
    });
  }

  /** A further manager, admitted by `by`. */
  async join(by: Host): Promise<Host> {
    const { rootCa } = await by.control.getCluster({}, aCall());
    const { nodeId, identity } = await this.certificate(by, rootCa.joinTokens.manager);
    return this.#launchJoiner(by, { nodeId, identity });
  }

  /** The manager of an agent's node, which has been told to become one. */
  async promote(by: Host, { nodeId, identity }: FakeAgent): Promise<Host> {
    const { keyPem, csrPem } = createKeyAndCsr();
    const issued = await createCaClient(this.connect(by, identity)).issueCertificate(
      { csrPem },
      aCall(),
    );
    const { certificatePem, caPem } = issued;
    return this.#launchJoiner(by, { nodeId, identity: { certificatePem, keyPem, caPem } });
  }

  /** Asks for a place in Raft, without taking it. */
  async enter(by: Host, identity: ManagerIdentity): Promise<{ raftId: number; ports: Ports }> {
    const ports = { api: await freePort(), raft: await freePort() };
    const { raftId } = await createMembershipClient(this.connect(by, identity)).join(
      { apiAddress: `127.0.0.1:${ports.api}`, raftAddress: `127.0.0.1:${ports.raft}` },
      aCall(),
    );
    return { raftId, ports };
  }

  /** Asks for its place as a manager does that could not take it. */
  async enterAgain(by: Host, { options, identity }: Host, raftId?: number): Promise<number> {
    const { api: apiAddress, raft: raftAddress } = options.advertise;
    const place = { apiAddress, raftAddress, ...(raftId === undefined ? {} : { raftId }) };
    const membership = createMembershipClient(this.connect(by, identity));
    return (await membership.join(place, aCall())).raftId;
  }

  async #launchJoiner(
    by: Host,
    node: { nodeId: NodeId; identity: ManagerIdentity },
  ): Promise<Host> {
    const { raftId, ports } = await this.enter(by, node.identity);
    return this.#start({ ...node, raftId, start: 'join' }, ports);
  }

  async stop(host: Host): Promise<void> {
    this.hosts.splice(this.hosts.indexOf(host), 1);
    await host.manager[Symbol.asyncDispose]();
  }

  /** Stops a manager and starts it again from its disk. */
  async restart(host: Host): Promise<Host> {
    await this.stop(host);
    const { bootstrap: _once, ...options } = host.options;
    return this.#launch({ ...options, start: 'restart' });
  }

  async worker(by: Host): Promise<FakeAgent> {
    const { rootCa } = await by.control.getCluster({}, aCall());
    const { nodeId, identity } = await this.certificate(by, rootCa.joinTokens.worker);
    return this.agent(by, { nodeId, identity });
  }

  agent(by: Host, node: { nodeId: NodeId; identity: ManagerIdentity }): FakeAgent {
    const agent = new FakeAgent({ ...node, address: by.options.advertise.api });
    this.agents.push(agent);
    return this.#stack.use(agent);
  }

  async certificate(
    by: Host,
    token: string,
    networks: readonly string[] = [],
  ): Promise<{ nodeId: NodeId; identity: ManagerIdentity }> {
    const { keyPem, csrPem } = createKeyAndCsr();
    using channel = connect({
      address: by.options.advertise.api,
      tls: constant({ caPem: by.identity.caPem }),
    });
    const ca = createCaClient(channel);
    const issued = await ca.issueCertificate({ csrPem, token, networks }, aCall());
    const { certificatePem, caPem, nodeId } = issued;
    return { nodeId, identity: { certificatePem, keyPem, caPem } };
  }

  connect(to: Host, identity: ManagerIdentity): Channel {
    return this.#stack.use(
      connect({
        address: to.options.advertise.api,
        tls: constant(identity),
        serverRole: 'manager',
      }),
    );
  }

  async #start(
    part: Pick<ManagerOptions, 'nodeId' | 'identity' | 'raftId' | 'start' | 'bootstrap'>,
    ports?: Ports,
  ): Promise<Host> {
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-manager-'));
    this.#stack.defer(() => rm(folder, { recursive: true, force: true }));
    const { api, raft } = ports ?? { api: await freePort(), raft: await freePort() };
    return this.#launch({
      ...part,
      clusterId: this.#clusterId,
      stateDir: join(folder, 'state'),
      runDir: join(folder, 'run'),
      listen: { host: '127.0.0.1', port: api },
      raftListen: { host: '127.0.0.1', port: raft },
      advertise: { api: `127.0.0.1:${api}`, raft: `127.0.0.1:${raft}` },
      raftTiming: TIMING,
      clock: systemClock,
      random: systemRandom,
      ids: systemIds,
      logger: process.env['MANAGER_TEST_LOG'] === '1' ? consoleLogger : silentLogger,
    });
  }

  async #launch(options: ManagerOptions): Promise<Host> {
    const manager = this.#stack.use(await startManager(options));
    const channel = this.#stack.use(connect({ socketPath: manager.controlSocket }));
    const { identity, nodeId } = options;
    const host = { manager, control: createControlClient(channel), identity, nodeId, options };
    this.hosts.push(host);
    return host;
  }
}

function constant<T>(value: T): () => T {
  return () => value;
}

const consoleLogger: ManagerOptions['logger'] = {
  debug: (fields, message) => console.log('debug', message, fields),
  info: (fields, message) => console.log('info', message, fields),
  warn: (fields, message) => console.log('warn', message, fields),
  error: (fields, message) => console.log('error', message, fields),
  child: () => consoleLogger,
};
