/**
 * One host of the test lab: a network plane behind lines of JSON. Runs in a network and mount
 * namespace of its own with a private /run.
 */
import { createInterface } from 'node:readline';

import { errorMessage, silentLogger, type Clock } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';
import type { NetworkState, Task, TaskId } from '@swarmd/model';

import { createNetworkPlane, type NetworkPlane } from '../../src/index.ts';
import type { NetworkScope } from '../../src/desired/scope.ts';

export interface OpenOptions {
  readonly dnsUpstreams?: string[];
  /** What its kernel lacks for encrypted networks, whatever it has. */
  readonly encryption?: { readonly lacks: string };
}

interface Request {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

const log = (fields: object, message: string): void =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const logger = { ...silentLogger, warn: log, error: log, child: () => logger };
const signal = new AbortController().signal;
let plane: NetworkPlane | undefined;
let applied: NetworkState | undefined;

/** The real clock, but what may wait for ever (unref) comes when the test asks for it. */
let guard: (() => void) | undefined;
const clock: Clock = {
  ...systemClock,
  after: (delayMs, fn, options) => {
    if (options?.unref !== true) return systemClock.after(delayMs, fn, options);
    guard = fn;
    return { cancel: () => (guard = undefined) };
  },
};

const methods: Record<string, (argument: never) => Promise<unknown>> = {
  open: async (options: OpenOptions) => {
    plane = await createNetworkPlane({
      runDir: '/run/swarmd',
      clock,
      logger,
      ...options,
    });
  },
  close: async () => {
    await plane?.[Symbol.asyncDispose]();
    plane = undefined;
  },
  apply: (state: NetworkState) => the().apply((applied = revived(state)), signal),
  change: ({ endpoints }: { endpoints: NetworkState['endpoints'] }) => {
    if (applied === undefined) throw new Error('no state to change yet');
    const gone = new Set(endpoints.map(({ taskId }) => taskId));
    const others = applied.endpoints.filter(({ taskId }) => !gone.has(taskId));
    applied = { ...applied, endpoints: [...others, ...endpoints] };
    return the().apply(applied, signal);
  },
  encryption: () => Promise.resolve(the().encryption),
  attach: (task: Task) => the().attach(task, signal),
  detach: (taskId: TaskId) => the().detach(taskId, signal),
  attached: () => the().attached(signal),
  check: (options: { repair: boolean; scope?: NetworkScope }) =>
    the().check({ ...options, signal }),
  destroy: () => the().destroy(),
  guard: () => Promise.resolve(guard?.()),
  pid: () => Promise.resolve(process.pid),
  use: () => {
    const { user, system } = process.cpuUsage();
    return Promise.resolve({ cpuMs: (user + system) / 1e3, ...memory() });
  },
  run: async ({ argv, input, ok }: { argv: string[]; input?: string; ok?: number[] }) => {
    const [program = '', ...args] = argv;
    const codes = ok ?? Array.from({ length: 256 }, (_, code) => code);
    const result = await run(program, args, {
      timeoutMs: 60_000,
      okCodes: codes,
      ...(input === undefined ? {} : { input }),
    });
    return { code: result.code, out: result.stdout, err: result.stderr };
  },
};

/** What it needs, and what it has: after a collection. */
function memory(): { neededBytes: number; residentBytes: number } {
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { neededBytes: heapUsed + external, residentBytes: rss };
}

/** Bytes go through JSON as an object with a number each. */
function revived(state: NetworkState): NetworkState {
  if (state.encryption === undefined) return state;
  const keys = state.encryption.keys.map((key) => ({
    ...key,
    secret: Uint8Array.from(Object.values(key.secret)),
  }));
  return { ...state, encryption: { ...state.encryption, keys } };
}

function the(): NetworkPlane {
  if (plane === undefined) throw new Error('the plane is not open');
  return plane;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, argument } = JSON.parse(line) as Request;
  void (async () => {
    try {
      const result = await methods[method]?.(argument as never);
      process.stdout.write(`${JSON.stringify({ id, result })}\n`);
    } catch (error) {
      process.stdout.write(`${JSON.stringify({ id, error: errorMessage(error) })}\n`);
    }
  })();
}
process.exit(0);
