/**
 * One host of the test lab: a network plane behind lines of JSON. Runs in a network and mount
 * namespace of its own with a private /run.
 */
import { readFileSync } from 'node:fs';
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
  apply: (state: NetworkState) => the().apply(revived(state), signal),
  encryption: () => Promise.resolve(the().encryption),
  attach: (task: Task) => the().attach(task, signal),
  detach: (taskId: TaskId) => the().detach(taskId, signal),
  attached: () => the().attached(signal),
  check: (options: { repair: boolean; scope?: NetworkScope }) =>
    the().check({ ...options, signal }),
  destroy: () => the().destroy(),
  guard: () => Promise.resolve(guard?.()),
  pid: () => Promise.resolve(process.pid),
  cpuMs: (whose: 'all' | 'plane') => Promise.resolve(cpuMs(whose)),
  run: async ({ argv, input, ok }: { argv: string[]; input?: string; ok?: number[] }) => {
    const [program = '', ...args] = argv;
    const codes = ok ?? Array.from({ length: 256 }, (_, code) => code);
    const result = await run(program, args, {
      timeoutMs: 15_000,
      okCodes: codes,
      ...(input === undefined ? {} : { input }),
    });
    return { code: result.code, out: result.stdout, err: result.stderr };
  },
};

/** Of this process, and unless told otherwise of its children, in hundredths of a second. */
function cpuMs(whose: 'all' | 'plane'): number {
  const of = (pid: string, fields: number): number => {
    const [, text = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    const ticks = text
      .split(' ')
      .slice(11, 11 + fields)
      .map(Number);
    return ticks.reduce((sum, count) => sum + count * 10, 0);
  };
  if (whose === 'plane') return of('self', 2);
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
  return ['self', ...children.split(' ')].reduce(
    (sum, pid) => sum + (pid === '' ? 0 : of(pid, 4)),
    0,
  );
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
