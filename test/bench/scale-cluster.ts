/** Managers of the orchestration benchmark: processes on loopback ports, with folders of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { connect, createCaClient, createMembershipClient } from '@swarmd/api';
import { errorCode } from '@swarmd/base';
import { freePort } from '@swarmd/base/testing';
import { openCluster, type ClusterClient } from '@swarmd/client';
import { asId, type ClusterId } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate } from '@swarmd/pki';

import {
  MANAGER_ENVIRONMENT,
  MANAGER_FLAGS,
} from '../../packages/daemon/src/manager/process-flags.ts';
import type {
  AgentFigures,
  AgentsRequest,
  ScaleAnswer,
  ScaleFigures,
  ScaleRequest,
  ScaleStart,
} from '../../packages/manager/src/testing/scale/protocol.ts';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const MANAGER = pathOf('../../packages/manager/src/testing/scale/main.ts');
const AGENTS = pathOf('../../packages/manager/src/testing/scale/agents-main.ts');
const TUNE_HEAP = pathOf('./tune-heap.ts');
const HOUR_MS = 3_600_000;
const CALL_MS = 60_000;
const JOIN_PAUSE_MS = 200;

export const call = (): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(CALL_MS),
  timeoutMs: CALL_MS,
});

export class ScaleManager {
  readonly client: ClusterClient & Disposable;
  readonly options: ScaleStart;
  /** Where simulated agents are let in. */
  readonly agentSocket: string;
  readonly #process: ChildProcess;

  constructor(
    process: ChildProcess,
    options: ScaleStart,
    sockets: { controlSocket: string; agentSocket: string },
  ) {
    this.#process = process;
    this.options = options;
    this.agentSocket = sockets.agentSocket;
    this.client = openCluster(sockets.controlSocket);
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
    await end(this.#process);
  }
}

/** All simulated agents: a process of their own, so that the managers' figures are theirs alone. */
export class ScaleAgents {
  readonly #process = fork(AGENTS, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
    execArgv: profiling('agents'),
  });

  async add(manager: ScaleManager, from: number, to: number): Promise<void> {
    await ask(this.#process, { kind: 'agents', socket: manager.agentSocket, from, to });
  }

  async figures(): Promise<AgentFigures> {
    const answer = await ask(this.#process, { kind: 'agent-figures' });
    if (answer.kind !== 'agent-figures') throw new Error(`no figures, but ${answer.kind}`);
    return answer.figures;
  }

  async stop(): Promise<void> {
    await end(this.#process);
  }
}

/** BENCH_CPU_PROFILE=FOLDER writes a profile of every process there when it ends. */
function profiling(name: string): string[] {
  const folder = process.env['BENCH_CPU_PROFILE'];
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}/${name}`];
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

/** One request at a time for each process: answers come in the order of requests. */
async function ask(
  child: ChildProcess,
  request: ScaleRequest | AgentsRequest,
): Promise<ScaleAnswer> {
  const waiting = new AbortController();
  const onExit = (): void => waiting.abort();
  child.once('exit', onExit);
  const reply = once(child, 'message', { signal: waiting.signal });
  child.send(request);
  const [answer] = (await reply.finally(() => child.off('exit', onExit))) as [ScaleAnswer];
  if (answer.kind === 'failed') throw new Error(`${request.kind}: ${answer.error}`);
  return answer;
}

export class ScaleCluster implements AsyncDisposable {
  readonly managers: ScaleManager[] = [];
  readonly agents = new ScaleAgents();
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
    await this.agents.stop();
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
    const addresses = {
      apiAddress: `127.0.0.1:${ports.api}`,
      raftAddress: `127.0.0.1:${ports.raft}`,
    };
    const raftId = await joinRaft(createMembershipClient(channel), addresses);
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
    const child = fork(MANAGER, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      env: { ...process.env, ...MANAGER_ENVIRONMENT },
      execArgv: [
        ...MANAGER_FLAGS,
        '--import',
        TUNE_HEAP,
        ...profiling(`manager${this.managers.length + 1}`),
      ],
    });
    try {
      const answer = await ask(child, { kind: 'start', options });
      if (answer.kind !== 'started') throw new Error(`no start, but ${answer.kind}`);
      this.managers.push(new ScaleManager(child, options, answer));
    } catch (error) {
      child.kill();
      throw error;
    }
  }
}

/** As a daemon does: again, while the one before is still being made a voter. */
async function joinRaft(
  membership: ReturnType<typeof createMembershipClient>,
  addresses: { apiAddress: string; raftAddress: string },
): Promise<number> {
  const { signal } = call();
  for (;;) {
    try {
      return (await membership.join(addresses, call())).raftId;
    } catch (error) {
      if (errorCode(error) !== 'failed-precondition' || signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, JOIN_PAUSE_MS));
    }
  }
}
