/** Sessions with real dispatchers behind real sockets; the managers' side is played by the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  connect,
  createDispatcherClient,
  createLocalServer,
  serveDispatcher,
  type AgentMessage,
  type AssignmentDelta,
  type ManagerMessage,
  type TaskUsage,
} from '@swarmd/api';
import { BoundedQueue, silentLogger, type Clock } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { ManualClock, SeededRandom } from '@swarmd/base/testing';
import { asId, type NodeRole } from '@swarmd/model';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { orderToTry } from '../src/manager-list.ts';
import { runSessions } from '../src/session.ts';
import { StatusReporter } from '../src/status-reporter.ts';
import { aTask } from './support/tasks.ts';
import { until } from './support/until.ts';

const PERIOD_MS = 50;
const FULL: AssignmentDelta = {
  full: true,
  putTasks: [aTask()],
  removeTasks: [],
  putSecrets: [],
  removeSecrets: [],
  putConfigs: [],
  removeConfigs: [],
};

/** A manager that remembers what it is told and says what the test wants. */
class TestManager implements AsyncDisposable {
  readonly heard: AgentMessage[] = [];
  sessions = 0;
  answersHeartbeats = true;
  readonly #stack = new AsyncDisposableStack();
  #say = new BoundedQueue<ManagerMessage>(100);
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async listen(): Promise<this> {
    const server = this.#stack.use(await createLocalServer({ path: this.path }));
    serveDispatcher(server, {
      session: (messages, { signal }) => this.#session(messages, signal),
    });
    return this;
  }

  async *#session(
    messages: AsyncIterable<AgentMessage>,
    signal: AbortSignal,
  ): AsyncIterable<ManagerMessage> {
    this.sessions += 1;
    this.#say = new BoundedQueue(100);
    const say = this.#say;
    // How a stream ends is not what these tests are about.
    this.#listen(messages, say).catch(() => undefined);
    yield { kind: 'welcome', sessionId: `s${this.sessions}`, heartbeatPeriodMs: PERIOD_MS };
    for (;;) {
      const message = await say.take(signal);
      if (message === undefined) return;
      yield message;
    }
  }

  say(message: ManagerMessage): void {
    this.#say.offer(message);
  }

  hangUp(): void {
    this.#say.close();
  }

  statuses(): Extract<AgentMessage, { kind: 'statuses' }>[] {
    return this.heard.filter((message) => message.kind === 'statuses');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #listen(
    messages: AsyncIterable<AgentMessage>,
    say: BoundedQueue<ManagerMessage>,
  ): Promise<void> {
    try {
      for await (const message of messages) {
        this.heard.push(message);
        if (message.kind === 'heartbeat' && this.answersHeartbeats)
          say.offer({ kind: 'heartbeat' });
      }
    } finally {
      say.close();
    }
  }
}

let folder: string;
let first: TestManager;
let second: TestManager;
let reporter: StatusReporter;
let known: string[];
let roles: NodeRole[];
let deltas: AssignmentDelta[];
let applied: (version: number) => void;
let describeAnew: () => void;
let hostname: string;
let measures: string[][];
let tellUsage: ((tasks: readonly TaskUsage[]) => void) | undefined;
let stop: AbortController;
let leaving: AbortController;
let running: Promise<void>;
let reachesManager: () => Promise<boolean>;
let ends: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-session-'));
  first = await new TestManager(join(folder, 'first.sock')).listen();
  second = await new TestManager(join(folder, 'second.sock')).listen();
  reporter = new StatusReporter();
  known = [first.path];
  hostname = 'h1';
  roles = [];
  deltas = [];
  measures = [];
  stop = new AbortController();
  leaving = new AbortController();
  running = Promise.resolve();
  reachesManager = () => Promise.resolve(true);
  ends = [];
});

afterEach(async () => {
  stop.abort();
  await running;
  await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
  await rm(folder, { recursive: true, force: true });
});

function start(clock: Clock = systemClock): void {
  running = runSessions(
    {
      connect: (address) => {
        const channel = connect({ socketPath: address });
        return {
          dispatcher: createDispatcherClient(channel),
          reaches: () => reachesManager(),
          [Symbol.asyncDispose]: () => Promise.resolve(channel[Symbol.dispose]()),
        };
      },
      managers: () => known,
      hello: () => ({
        kind: 'hello',
        description: {
          hostname,
          platform: { os: 'linux', architecture: 'amd64' },
          resources: { nanoCpus: 1, memoryBytes: 1, generic: [] },
          engineVersion: '0',
          networks: [],
          addresses6: [],
          labels: {},
        },
        address: '10.0.0.1',
        agentAddress: '10.0.0.1:4244',
      }),
      onDescriptionChange: (listener) => {
        describeAnew = listener;
        return { [Symbol.dispose]: () => (describeAnew = () => undefined) };
      },
      reporter,
      leaving: leaving.signal,
      onMeasures: (tasks) => void measures.push(tasks.map(({ taskId }) => taskId)),
      onUsage: (listener) => {
        tellUsage = listener;
        return { [Symbol.dispose]: () => (tellUsage = undefined) };
      },
      onRole: (role) => roles.push(role),
      onManagers: (managers) => (known = managers.map(({ address }) => address)),
      onAssignments: (delta) => deltas.push(delta),
      onApplied: (listener) => {
        applied = listener;
        return { [Symbol.dispose]: () => (applied = () => undefined) };
      },
      clock,
      random: new SeededRandom(1),
      logger: {
        ...silentLogger,
        warn: (what) => void ends.push(String((what as { reason?: string }).reason)),
      },
    },
    stop.signal,
  );
}

test('says hello, gets its assignment, sends heartbeats', async () => {
  start();
  await until('hello is heard', () => first.heard[0]?.kind === 'hello');
  first.say({ kind: 'assignments', delta: FULL, version: 7 });
  await until('the assignment is there', () => deltas.length === 1);
  expect(deltas[0]?.putTasks[0]?.id).toBe('t1');
  const beats = (): number => first.heard.filter(({ kind }) => kind === 'heartbeat').length;
  await until('heartbeats go on', () => beats() >= 3);
});

test('confirms how far its network has come', async () => {
  start();
  await until('hello is heard', () => first.heard[0]?.kind === 'hello');
  await until('heartbeats go', () => first.heard.some(({ kind }) => kind === 'heartbeat'));
  applied(7);
  await until('it is confirmed', () => first.heard.some(({ kind }) => kind === 'applied'));
  expect(first.heard).toContainEqual({ kind: 'applied', version: 7 });
});

test('describes itself anew when it has become another', async () => {
  const names = (): string[] =>
    first.heard.filter((one) => one.kind === 'hello').map((one) => one.description.hostname);
  start();
  await until('heartbeats go', () => first.heard.some(({ kind }) => kind === 'heartbeat'));
  describeAnew();
  hostname = 'h2';
  describeAnew();
  await until('it is heard', () => names().length > 1);
  expect(names()).toEqual(['h1', 'h2']);
});

test('measures what it is asked to, and tells; a new session begins with nothing', async () => {
  const taskId = asId('task', 't1');
  start();
  await until('hello is heard', () => first.heard[0]?.kind === 'hello');
  first.say({ kind: 'measures', tasks: [{ taskId }] });
  await until('it is asked', () => measures.length === 2);
  tellUsage?.([{ taskId, nanoCpus: 5, memoryBytes: 6, metric: 0.5 }]);
  await until('it is told', () => first.heard.some(({ kind }) => kind === 'usage'));
  expect(first.heard).toContainEqual({
    kind: 'usage',
    tasks: [{ taskId, nanoCpus: 5, memoryBytes: 6, metric: 0.5 }],
  });
  first.hangUp();
  await until('a new session', () => first.sessions === 2);
  expect(measures).toEqual([[], ['t1'], []]);
});

test('sends statuses until they are acknowledged, also to another manager', async () => {
  const id = asId('task', 't1');
  start();
  await until('there is a session', () => first.sessions === 1);
  reporter.report(id, { state: 'running', timestamp: 1, message: '', error: '' });
  await until('the status is heard', () => first.statuses().length === 1);
  known = [first.path, second.path];
  first.hangUp();
  await until('the other manager hears it', () => second.statuses().length === 1);
  second.say({ kind: 'status-ack', sequence: second.statuses()[0]?.sequence ?? 0 });
  await until('it is acknowledged', () => !reporter.unacknowledged);
  second.hangUp();
  await until('a new session', () => first.sessions === 2);
  expect(first.statuses()).toHaveLength(1);
});

test('moves to another manager when the stream ends', async () => {
  start();
  await until('there is a session', () => first.sessions === 1);
  first.say({ kind: 'managers', managers: [manager(first), manager(second)] });
  first.say({ kind: 'node', role: 'manager' });
  await until('both are known', () => known.length === 2);
  await until('its own role is known', () => roles.join() === 'manager');
  first.hangUp();
  await until('the other one is used', () => second.sessions === 1);
  expect(first.sessions).toBe(1);
});

test('leaves a manager that hangs', async () => {
  known = [first.path];
  start();
  await until(
    'heartbeats are answered',
    () => first.heard.filter(({ kind }) => kind === 'heartbeat').length > 1,
  );
  known = [first.path, second.path];
  first.answersHeartbeats = false;
  await until('the other one is used', () => second.sessions === 1);
});

/** A session by a clock that the test moves, whose manager has answered a heartbeat and does so no more. */
async function silentSession(): Promise<ManualClock> {
  const clock = new ManualClock();
  start(clock);
  const beats = () => first.heard.filter(({ kind }) => kind === 'heartbeat').length;
  await until('a heartbeat is heard', () => beats() === 1);
  first.answersHeartbeats = false;
  // Comes behind the answer.
  first.say({ kind: 'assignments', delta: FULL, version: 1 });
  await until('the answer is there', () => deltas.length === 1);
  clock.advance(PERIOD_MS);
  return clock;
}

/** Lets time pass until there is a new session. */
async function untilAnew(clock: ManualClock): Promise<void> {
  await until('a new session', () => {
    clock.advance(PERIOD_MS / 4);
    return first.sessions === 2;
  });
}

test('a network that was out and is back is used at once, by a new session', async () => {
  let tried = 0;
  let isBack = false;
  reachesManager = () => {
    tried += 1;
    return Promise.resolve(isBack);
  };
  const clock = await silentSession();
  clock.advance(PERIOD_MS / 4);
  await until('a connection is tried', () => tried === 1);
  isBack = true;
  await untilAnew(clock);
  expect(ends[0]).toBe('the network to it was out, and is back');
});

test('a manager that is slow while the network is there is not asked to do more', async () => {
  const clock = await silentSession();
  await untilAnew(clock);
  expect(ends[0]).toMatch(/nothing was heard of it/);
});

test('comes back to the only manager after it was gone', async () => {
  start();
  await until('there is a session', () => first.sessions === 1);
  await first[Symbol.asyncDispose]();
  const again = await new TestManager(first.path).listen();
  await until('there is a session again', () => again.sessions === 1);
  first = again;
});

test('tries managers in a random order, the one that failed last', () => {
  const managers = ['a', 'b', 'c', 'd', 'b'];
  const order = orderToTry(managers, new SeededRandom(7), 'c');
  expect(order.at(-1)).toBe('c');
  expect([...order].sort()).toEqual(['a', 'b', 'c', 'd']);
  const firsts = new Set(
    Array.from({ length: 50 }, (_, seed) => orderToTry(managers, new SeededRandom(seed))[0]),
  );
  expect(firsts.size).toBe(4);
});

function manager({ path }: TestManager) {
  return { nodeId: asId('node', path), address: path };
}

test('says goodbye when it leaves, and tries no other manager', async () => {
  known = [first.path, second.path];
  start();
  await until('a session', () => first.sessions + second.sessions === 1);
  const manager = first.sessions === 1 ? first : second;
  await until('hello', () => manager.heard.some(({ kind }) => kind === 'heartbeat'));
  leaving.abort();
  await until('goodbye', () => manager.heard.some(({ kind }) => kind === 'goodbye'));
  manager.hangUp();
  await running;
  expect(first.sessions + second.sessions).toBe(1);
});
