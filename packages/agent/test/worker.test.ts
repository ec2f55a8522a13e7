/** The worker against a machine in memory: what containers exist, what is reported, what is on disk. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { silentLogger, SwarmError } from '@swarmd/base';
import { ManualClock, SeededRandom } from '@swarmd/base/testing';
import {
  asId,
  type AssignmentSet,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentState } from '../src/disk/agent-state.ts';
import { StatusReporter } from '../src/status-reporter.ts';
import { Worker } from '../src/worker.ts';
import { TestExecutor, TestPlane } from './support/machine.ts';
import { aTask } from './support/tasks.ts';
import { until } from './support/until.ts';

const NOT_ABORTED = new AbortController().signal;

class Node implements AsyncDisposable {
  readonly executor = new TestExecutor();
  readonly plane = new TestPlane();
  readonly clock = new ManualClock(1_000);
  reporter = new StatusReporter();
  /** That all is programmed which came with a task. */
  network: Promise<void> = Promise.resolve();
  worker!: Worker;
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    this.boot();
  }

  /** A new life of the agent on the same machine. */
  boot(): void {
    this.reporter = new StatusReporter();
    this.worker = new Worker({
      executor: this.executor,
      plane: this.plane,
      networks: {
        ready: () => Promise.resolve(),
        newest: () => 0,
        reached: () => this.network,
      },
      describe: () => ({
        hostname: 'host1',
        platform: { os: 'linux', architecture: 'amd64' },
      }),
      state: new AgentState(
        { stateDir: this.folder, runDir: join(this.folder, 'run') },
        silentLogger,
      ),
      reporter: this.reporter,
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
    });
  }

  async restart(): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    this.boot();
    await this.worker.restore(NOT_ABORTED);
  }

  assign(...tasks: Task[]): Promise<void> {
    return this.worker.assign(setOf(...tasks));
  }

  async hasState(state: TaskState, id = 't1'): Promise<void> {
    const task = asId('task', id);
    const reached = (): boolean => this.worker.runner(task)?.life.status.state === state;
    await until(`task ${id} is ${state}`, reached, { manual: this.clock, stepMs: 100 });
  }

  status(id = 't1'): TaskStatus {
    const runner = this.worker.runner(asId('task', id));
    if (runner === undefined) throw new Error(`no task ${id}`);
    return runner.life.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.worker[Symbol.asyncDispose]();
  }
}

function setOf(...tasks: Task[]): AssignmentSet {
  return { tasks, secrets: [], configs: [] };
}

let node: Node;
beforeEach(async () => {
  node = new Node(await mkdtemp(join(tmpdir(), 'swarmd-agent-')));
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(node.folder, { recursive: true, force: true });
});

describe('an assigned task', () => {
  test('runs in a container with its network, and is reported', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    const { request, phase } = node.executor.get('t1');
    expect(phase).toBe('running');
    expect(request).toMatchObject({
      name: 'web.1.t1',
      networkNamespace: '/run/netns/t1',
      addresses: ['10.0.0.5/24'],
      resolver: { nameservers: ['10.0.0.1'], search: [], options: [] },
    });
    expect(node.reporter.nextBatch()?.updates).toMatchObject([
      { taskId: 't1', status: { state: 'running', pid: 4_711 } },
    ]);
  });

  test('does not run before its node knows the ways back to those who will ask it', async () => {
    const programmed = Promise.withResolvers<void>();
    node.network = programmed.promise;
    await node.assign(aTask());
    await until('its container is made', () => node.executor.containers.has('t1'));
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    expect(node.status().state).toBe('preparing');
    programmed.resolve();
    await node.hasState('running');
  });

  test('that stands prepared runs before the disk has taken the wish, and is adopted if it never did', async () => {
    const prepared = { ...aTask(), desiredState: 'ready' } as const;
    await node.assign(prepared);
    await node.hasState('ready');
    // A disk that hangs: who opens a pipe for writing waits for a reader.
    const pipe = join(node.folder, 'agent', 'assignment.json.new');
    execFileSync('mkfifo', [pipe]);
    const assigned = node.assign(aTask());
    await node.hasState('running');
    const written = readFile(pipe, 'utf8');
    await assigned;
    expect(JSON.parse(await written)).toMatchObject({ tasks: [{ desiredState: 'running' }] });
    await rm(join(node.folder, 'agent', 'assignment.json'));
    await node.assign(prepared);
    await node.restart();
    await node.hasState('running');
    expect(node.executor.get('t1').phase).toBe('running');
  });

  test('gets its secrets under /run/secrets and its configs where they say', async () => {
    const file = { uid: 1, gid: 2, mode: 0o400 };
    const task = aTask({
      container: {
        secrets: [{ id: 'x1', name: 'key', target: 'tls/key', ...file }],
        configs: [{ id: 'c1', name: 'conf', target: '/etc/web.conf' }],
      },
    });
    const data = new TextEncoder().encode('geheim');
    await node.worker.assign({
      tasks: [task],
      secrets: [{ id: asId('secret', 'x1'), version: 1, data, templated: false }],
      configs: [{ id: asId('config', 'c1'), version: 1, data, templated: false }],
    });
    await node.hasState('running');
    expect(node.executor.get('t1').request.files).toEqual([
      { path: '/run/secrets/tls/key', data, ...file },
      { path: '/etc/web.conf', data, uid: 0, gid: 0, mode: 0o444 },
    ]);
  });

  test('has the templates of its spec and files expanded for it', async () => {
    const task = aTask({
      container: {
        hostname: '{{.Service.Name}}-{{.Task.Slot}}',
        env: ['WHERE={{.Node.Hostname}}/{{.Node.Platform.Architecture}}', 'PLAIN=a'],
        mounts: [{ kind: 'volume', source: 'data-{{.Task.Slot}}', target: '/data' }],
        secrets: [{ id: 'x1', name: 'key', target: 'key' }],
        configs: [{ id: 'c1', name: 'conf', target: '/etc/web.conf' }],
      },
    });
    const bytes = (text: string) => new TextEncoder().encode(text);
    await node.worker.assign({
      tasks: [task],
      secrets: [{ id: asId('secret', 'x1'), version: 1, data: bytes('{{x'), templated: false }],
      configs: [
        {
          id: asId('config', 'c1'),
          version: 1,
          data: bytes(
            '{{.Task.Name}} {{env "PLAIN"}} {{secret "key"}} {{index .Service.Labels "a"}}',
          ),
          templated: true,
        },
      ],
    });
    await node.hasState('rejected');
    expect(node.status().error).toContain('there is no "a"');
    const labelled: Task = {
      ...task,
      id: asId('task', 't2'),
      templating: { serviceLabels: { a: 'b' } },
      claimed: {
        generic: [
          { kind: 'gpu', count: 2, names: ['x', 'y'] },
          { kind: 'fpga', count: 1, names: [] },
        ],
      },
    };
    await node.worker.assign({ ...node.worker.assignment, tasks: [labelled] });
    await node.hasState('running', 't2');
    const { request } = node.executor.get('t2');
    expect(request.hostname).toBe('web-1');
    expect(request.spec.env).toEqual([
      'WHERE=host1/amd64',
      'PLAIN=a',
      'DOCKER_RESOURCE_GPU=x,y',
      'DOCKER_RESOURCE_FPGA=1',
    ]);
    expect(request.spec.mounts[0]?.source).toBe('data-1');
    expect(request.files.map(({ data }) => new TextDecoder().decode(data))).toEqual([
      '{{x',
      'web.1.t2 a {{x b',
    ]);
  });

  test('whose secret is missing waits for it, and says so', async () => {
    const task = aTask({ container: { secrets: [{ id: 'x1', name: 'key', target: 'key' }] } });
    await node.assign(task);
    const waiting = (): boolean => node.worker.runner(task.id)?.life.phase === 'waiting';
    await until('it waits', waiting);
    expect(node.status().error).toContain('secret key');
    const secret = {
      id: asId('secret', 'x1'),
      version: 1,
      data: new Uint8Array([1]),
      templated: false,
    };
    await node.worker.assign({ tasks: [task], secrets: [secret], configs: [] });
    await node.hasState('running');
  });

  test('is rejected, with nothing left, when its image does not exist', async () => {
    node.executor.pullErrors.push(new SwarmError('not-found', 'registry: no such image'));
    await node.assign(aTask());
    await node.hasState('rejected');
    expect(node.status().error).toBe('registry: no such image');
    await until('the network is given back', () => node.plane.namespaces.size === 0);
  });

  test('is tried again when the registry cannot be reached', async () => {
    node.executor.pullErrors.push(new SwarmError('unavailable', 'registry: connection refused'));
    await node.assign(aTask());
    await node.hasState('running');
    expect(node.executor.pulled).toEqual(['registry/busybox:1']);
  });

  test('that exits has failed; its container stays for its logs, its network does not', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    node.executor.exit('t1', 3);
    await node.hasState('failed');
    await until('the network is given back', () => node.plane.namespaces.size === 0);
    expect(node.executor.get('t1').phase).toBe('exited');
    await node.assign();
    await until('the container is removed', () => node.executor.containers.size === 0);
    await until('the runner is gone', () => node.worker.runner(asId('task', 't1')) === undefined);
  });

  test('that should shut down is stopped', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    await node.assign(aTask({ desired: 'shutdown' }));
    await node.hasState('shutdown');
    expect(node.status().exitCode).toBe(143);
  });

  test('with a health check runs once it is healthy, and fails when it stops being so', async () => {
    node.executor.health = { code: 1, output: 'connection refused\n', timedOut: false };
    const healthcheck = {
      test: ['CMD', 'check'],
      intervalMs: 100,
      retries: 2,
      startPeriodMs: 1_000,
      startIntervalMs: 100,
    };
    await node.assign(aTask({ container: { healthcheck } }));
    await node.hasState('starting');
    node.executor.health = { code: 0, output: '', timedOut: false };
    await node.hasState('running');
    node.executor.health = { code: 1, output: 'connection refused\n', timedOut: false };
    await node.hasState('failed');
    expect(node.status().error).toBe(
      'unhealthy: 2 checks failed in a row, the last one: exit code 1: connection refused',
    );
  });
});

describe('a restart of the agent', () => {
  test('goes on with what runs, and reports it', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    await node.restart();
    expect(node.executor.get('t1').phase).toBe('running');
    expect(node.reporter.nextBatch()?.updates).toMatchObject([{ status: { state: 'running' } }]);
    node.executor.exit('t1', 1);
    await node.hasState('failed');
  });

  test('notices what ended meanwhile', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    await node.worker[Symbol.asyncDispose]();
    node.executor.exit('t1', 0);
    await node.restart();
    await node.hasState('complete');
    expect(node.status().exitCode).toBe(0);
  });

  test('notices containers that a boot has ended', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    await node.worker[Symbol.asyncDispose]();
    node.executor.containers.clear();
    await node.restart();
    await node.hasState('failed');
    expect(node.status().error).toContain('the machine was restarted');
  });

  test('finishes what was half made', async () => {
    node.executor.pullErrors.push(
      ...Array.from({ length: 3 }, () => new SwarmError('unavailable', 'later')),
    );
    await node.assign(aTask());
    await node.restart();
    await node.hasState('running');
    expect(node.executor.get('t1').phase).toBe('running');
  });

  test('removes what belongs to no task', async () => {
    await node.assign(aTask());
    await node.hasState('running');
    await node.worker[Symbol.asyncDispose]();
    await rm(join(node.folder, 'agent'), { recursive: true });
    await node.restart();
    await until(
      'it is removed',
      () => node.executor.containers.size + node.plane.namespaces.size === 0,
    );
  });

  test('keeps files for its owner only, and no secret among those that survive a boot', async () => {
    const secret = {
      id: asId('secret', 'x1'),
      version: 1,
      data: new TextEncoder().encode('geheim'),
      templated: false,
    };
    await node.worker.assign({ tasks: [aTask()], secrets: [secret], configs: [] });
    await node.hasState('running');
    await node.restart();
    expect(node.worker.assignment.secrets).toEqual([secret]);
    const path = join(node.folder, 'agent', 'assignment.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).not.toContain(Buffer.from('geheim').toString('base64'));
  });
});

test('a drained node has nothing left', async () => {
  await node.assign(aTask({ id: 't1' }), aTask({ id: 't2', desired: 'ready' }));
  await node.hasState('running', 't1');
  await node.hasState('ready', 't2');
  await node.worker.drain(NOT_ABORTED);
  expect([node.executor.containers.size, node.plane.namespaces.size]).toEqual([0, 0]);
});

test('statuses the managers do not know yet are reported again', async () => {
  await node.assign(aTask());
  await node.hasState('running');
  const batch = node.reporter.nextBatch();
  node.reporter.acknowledge(batch?.sequence ?? 0);
  await node.assign(aTask({ state: 'starting' }));
  expect(node.reporter.nextBatch()?.updates).toMatchObject([{ status: { state: 'running' } }]);
});
