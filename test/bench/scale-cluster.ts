/** Managers of the orchestration benchmark: processes on loopback ports, with folders of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { connect, createCaClient, createMembershipClient } from '@swarmd/api';
import { openCluster, type ClusterClient } from '@swarmd/client';
import { asId, type ClusterId } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate } from '@swarmd/pki';

import type {
  ScaleAnswer,
  ScaleFigures,
  ScaleRequest,
  ScaleStart,
} from '../../packages/manager/src/testing/scale/protocol.ts';

const PROGRAM = fileURLToPath(
  new URL('../../packages/manager/src/testing/scale/main.ts', import.meta.url),
);
const HOUR_MS = 3_600_000;
const CALL_MS = 60_000;

export const call = (): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(CALL_MS),
  timeoutMs: CALL_MS,
});

export class ScaleManager {
  readonly client: ClusterClient & Disposable;
  readonly options: ScaleStart;
  readonly #process: ChildProcess;

  constructor(process: ChildProcess, options: ScaleStart, controlSocket: string) {
    this.#process = process;
    this.options = options;
    this.client = openCluster(controlSocket);
  }

  async ask(request: ScaleRequest): Promise<ScaleAnswer> {
    return ask(this.#process, request);
  }

  async figures(): Promise<ScaleFigures> {
    const answer = await this.ask({ kind: 'figures' });
    if (answer.kind !== 'figures') throw new Error(`no figures, but ${answer.kind}`);
    return answer.figures;
  }

  async stop(): Promise<void> {
    this.client[Symbol.dispose]();
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}

async function ask(child: ChildProcess, request: ScaleRequest): Promise<ScaleAnswer> {
  const reply = once(child, 'message');
  child.send(request);
  const [answer] = (await reply) as [ScaleAnswer];
  if (answer.kind === 'failed') throw new Error(`${request.kind}: ${answer.error}`);
  return answer;
}

export class ScaleCluster implements AsyncDisposable {
  readonly managers: ScaleManager[] = [];
  readonly #folders: string[] = [];
  readonly #clusterId: ClusterId = asId('cluster', 'scale');

  /** Three managers or one; the first leads. */
  static async start(managers: number): Promise<ScaleCluster> {
    const cluster = new ScaleCluster();
    try {
      await cluster.#first();
      while (cluster.managers.length < managers) await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get leader(): ScaleManager {
    const [first] = this.managers;
    if (first === undefined) throw new Error('no manager is up');
    return first;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const manager of this.managers.toReversed()) await manager.stop();
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true });
  }

  async #first(): Promise<void> {
    const rootCa = createRootCa({ now: Date.now() });
    const nodeId = asId('node', 'manager1');
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: rootCa.certificatePem,
      caKey: rootCa.keyPem,
      csrPem,
      nodeId,
      clusterId: this.#clusterId,
      role: 'manager',
      expiryMs: HOUR_MS,
      now: Date.now(),
    });
    await this.#launch({
      nodeId,
      raftId: 1,
      start: 'bootstrap',
      identity: { certificatePem, keyPem, caPem: rootCa.certificatePem },
      bootstrap: { clusterSpec: {}, rootCa },
    });
  }

  async #join(): Promise<void> {
    const { client, options } = this.leader;
    const { rootCa } = await client.control.getCluster({}, call());
    const { keyPem, csrPem } = createKeyAndCsr();
    const { caPem } = options.identity;
    const address = options.advertise.api;
    using ca = connect({ address, tls: () => ({ caPem }) });
    const token = rootCa.joinTokens.manager;
    const issued = await createCaClient(ca).issueCertificate({ csrPem, token }, call());
    const identity = { certificatePem: issued.certificatePem, keyPem, caPem: issued.caPem };
    const ports = { api: await freePort(), raft: await freePort() };
    using channel = connect({ address, tls: () => identity, serverRole: 'manager' });
    const { raftId } = await createMembershipClient(channel).join(
      { apiAddress: `127.0.0.1:${ports.api}`, raftAddress: `127.0.0.1:${ports.raft}` },
      call(),
    );
    await this.#launch({ nodeId: issued.nodeId, raftId, start: 'join', identity }, ports);
  }

  async #launch(
    part: Pick<ScaleStart, 'nodeId' | 'identity' | 'raftId' | 'start' | 'bootstrap'>,
    given?: { api: number; raft: number },
  ): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-scale-'));
    this.#folders.push(folder);
    const { api, raft } = given ?? { api: await freePort(), raft: await freePort() };
    const options: ScaleStart = {
      ...part,
      clusterId: this.#clusterId,
      stateDir: join(folder, 'state'),
      runDir: join(folder, 'run'),
      listen: { host: '127.0.0.1', port: api },
      raftListen: { host: '127.0.0.1', port: raft },
      advertise: { api: `127.0.0.1:${api}`, raft: `127.0.0.1:${raft}` },
    };
    const profile = process.env['BENCH_CPU_PROFILE'];
    const child = fork(PROGRAM, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      execArgv: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
    });
    try {
      const answer = await ask(child, { kind: 'start', options });
      if (answer.kind !== 'started') throw new Error(`no start, but ${answer.kind}`);
      this.managers.push(new ScaleManager(child, options, answer.controlSocket));
    } catch (error) {
      child.kill();
      throw error;
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
