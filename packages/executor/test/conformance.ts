/** What every executor must do, run against the twin in memory and against the real one. */
import { SwarmError } from '@swarmd/base';
import { mountSpec } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type {
  ContainerRequest,
  Executor,
  SessionEvent,
  SessionInput,
  SessionStart,
} from '../src/index.ts';

import { linesOf, logs, text } from './conformance-logs.ts';

/** What a container of the suite does once started. */
export type Program =
  | { readonly kind: 'exit'; readonly code: number }
  /** Prints its lines (odd ones to stderr) and ends with 0. */
  | { readonly kind: 'print'; readonly lines: readonly string[] }
  | { readonly kind: 'forever' }
  /** Ends with this code on SIGTERM; prints "ready" once it can. */
  | { readonly kind: 'graceful'; readonly code: number }
  /** Ignores SIGTERM; prints "ready" once it does. */
  | { readonly kind: 'stubborn' };

export interface Harness extends AsyncDisposable {
  /** The current life. */
  readonly executor: Executor;
  readonly image: string;
  readonly missingImage: string;
  request(id: string, program: Program): ContainerRequest;
  /** Ends this life without a word and begins another on the same machine. */
  reopen(): Promise<void>;
}

const signal = (): AbortSignal => AbortSignal.timeout(20_000);
let ids = 0;
const newId = (): string => `conformance${(ids += 1)}`;

export function executorConformance(name: string, makeHarness: () => Promise<Harness>): void {
  describe(`executor: ${name}`, () => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await makeHarness();
      await harness.executor.pull(harness.image, signal());
    });
    afterAll(async () => harness?.[Symbol.asyncDispose]());
    const prepared = async (program: Program): Promise<string> => {
      const id = newId();
      await harness.executor.prepare(harness.request(id, program), signal());
      return id;
    };
    const started = async (program: Program): Promise<string> => {
      const id = await prepared(program);
      await harness.executor.start(id, signal());
      return id;
    };
    const ready = async (program: Program): Promise<string> => {
      const id = await started(program);
      for await (const line of linesOf(harness.executor.logs(id, { follow: true }, signal()))) {
        if (text(line) === 'ready') break;
      }
      return id;
    };
    images(() => harness, prepared);
    lifeCycle(() => harness, { prepared, started, ready });
    logs(() => harness, { started });
    workbench(() => harness, { prepared, started, ready });
    survival(() => harness, { prepared, started });
  });
}

type Make = (program: Program) => Promise<string>;

function images(harness: () => Harness, prepared: Make): void {
  it.each([
    ['an unknown image', () => harness().missingImage, 'not-found'],
    ['a malformed reference', () => 'UPPER//case', 'invalid-argument'],
    ['a malformed digest', () => 'busybox@sha256:12', 'invalid-argument'],
  ])('refuses to pull %s', async (_, image, code) => {
    await expect(harness().executor.pull(image(), signal())).rejects.toMatchObject({ code });
  });

  it('pulls what is present again without harm', async () => {
    await harness().executor.pull(harness().image, signal());
    const id = await prepared({ kind: 'forever' });
    expect((await harness().executor.restore(signal())).get(id)).toBe('created');
    await harness().executor.remove(id, signal());
  });

  it('says what a tag stands for now, and pulls just that', async () => {
    const { executor, image, missingImage } = harness();
    const pinned = await executor.images.resolve(image, signal());
    expect(pinned).toMatch(/:[^/@]+@sha256:[0-9a-f]{64}$/);
    expect(await executor.images.resolve(pinned, signal())).toBe(pinned);
    await executor.pull(pinned, signal());
    await executor.images.remove(pinned);
    await expect(executor.images.resolve(missingImage, signal())).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('refuses to prepare without the image, and leaves nothing', async () => {
    const id = newId();
    const request = harness().request(id, { kind: 'forever' });
    const spec = { ...request.spec, image: harness().missingImage };
    await expect(harness().executor.prepare({ ...request, spec }, signal())).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await expect(harness().executor.start(id, signal())).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('refuses ids that are not ids', async () => {
    const request = harness().request('../evil', { kind: 'forever' });
    await expect(harness().executor.prepare(request, signal())).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });
}

function lifeCycle(
  harness: () => Harness,
  make: { prepared: Make; started: Make; ready: Make },
): void {
  it.each([0, 3, 127])('reports exit code %i', async (code) => {
    const id = await make.started({ kind: 'exit', code });
    const exit = await harness().executor.wait(id, signal());
    expect(exit).toEqual({ code, oomKilled: false, error: '' });
    expect(await harness().executor.wait(id, signal())).toEqual(exit);
    await harness().executor.remove(id, signal());
  });

  it('takes every step twice as once', async () => {
    const { executor } = harness();
    const id = newId();
    const request = harness().request(id, { kind: 'forever' });
    await Promise.all([executor.prepare(request, signal()), executor.prepare(request, signal())]);
    const first = await executor.start(id, signal());
    expect(await executor.start(id, signal())).toEqual(first);
    const stop = { graceMs: 0, signal: signal() };
    await Promise.all([executor.stop(id, stop), executor.stop(id, stop)]);
    await executor.stop(id, stop);
    await Promise.all([executor.remove(id, signal()), executor.remove(id, signal())]);
    await executor.remove(id, signal());
  });

  it('stops and removes what never was', async () => {
    await harness().executor.stop('nobody', { graceMs: 0, signal: signal() });
    await harness().executor.remove('nobody', signal());
    await expect(harness().executor.wait('nobody', signal())).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('lets a process end itself on its stop signal', async () => {
    const id = await make.ready({ kind: 'graceful', code: 9 });
    await harness().executor.stop(id, { graceMs: 10_000, signal: signal() });
    expect(await harness().executor.wait(id, signal())).toMatchObject({ code: 9 });
    await harness().executor.remove(id, signal());
  });

  it('kills a process that ignores its stop signal', async () => {
    const id = await make.ready({ kind: 'stubborn' });
    await harness().executor.stop(id, { graceMs: 50, signal: signal() });
    expect(await harness().executor.wait(id, signal())).toMatchObject({ code: 137 });
    await harness().executor.remove(id, signal());
  });

  it('stops a container that was never started', async () => {
    const id = await make.prepared({ kind: 'forever' });
    await harness().executor.stop(id, { graceMs: 10_000, signal: signal() });
    expect(await harness().executor.wait(id, signal())).toMatchObject({ code: 137 });
    await harness().executor.remove(id, signal());
  });

  it('removes a running container and tells those who wait', async () => {
    const id = await make.started({ kind: 'forever' });
    const waiting = harness().executor.wait(id, signal());
    await harness().executor.remove(id, signal());
    expect(await waiting).toMatchObject({ code: 137 });
    await expect(harness().executor.wait(id, signal())).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('gives up waiting with its signal, and the container does not notice', async () => {
    const id = await make.started({ kind: 'forever' });
    const controller = new AbortController();
    const waiting = harness().executor.wait(id, controller.signal);
    controller.abort(new SwarmError('cancelled', 'enough'));
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    expect((await harness().executor.restore(signal())).get(id)).toBe('running');
    await harness().executor.remove(id, signal());
  });

  it('runs a program in a running container only', async () => {
    const { executor } = harness();
    const request = { argv: ['/bin/sh', '-c', 'echo out; exit 5'], timeoutMs: 10_000 };
    const id = await make.prepared({ kind: 'forever' });
    await expect(executor.exec(id, request, signal())).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await executor.start(id, signal());
    expect(await executor.exec(id, request, signal())).toEqual({
      code: 5,
      output: 'out\n',
      timedOut: false,
    });
    await executor.remove(id, signal());
  });
}

export const EXEC: Extract<SessionStart, { kind: 'exec' }> = {
  kind: 'exec',
  argv: [],
  tty: false,
  stdin: true,
  env: [],
  user: '',
  dir: '',
  privileged: false,
  rows: 0,
  columns: 0,
};
/** Says what it reads, then what it read last on stderr, and ends with 7 at the end of its input. */
export const ECHO = ['/bin/sh', '-c', 'while read x; do echo $x; done; echo end >&2; exit 7'];

/** Input that stays open after its last message until the session ends. */
export async function* sending(
  messages: readonly SessionInput[],
  signal: AbortSignal,
): AsyncGenerator<SessionInput> {
  yield* messages;
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

export const typed = (text: string): SessionInput => ({ kind: 'stdin', data: Buffer.from(text) });

export function printed(events: readonly SessionEvent[], stream: 'stdout' | 'stderr'): string {
  const parts = events.flatMap((event) =>
    event.kind === 'output' && event.stream === stream ? [event.data] : [],
  );
  return Buffer.concat(parts).toString();
}

function workbench(
  harness: () => Harness,
  make: { prepared: Make; started: Make; ready: Make },
): void {
  const session = async (
    id: string,
    start: SessionStart,
    messages: readonly SessionInput[],
  ): Promise<SessionEvent[]> => {
    const over = new AbortController();
    const input = sending(messages, over.signal);
    const events = harness().executor.workbench.session(id, { start, input }, signal());
    try {
      return await Array.fromAsync(events);
    } finally {
      over.abort();
    }
  };

  it('runs a session: input, both outputs, exit code', async () => {
    const id = await make.started({ kind: 'forever' });
    const events = await session(id, { ...EXEC, argv: ECHO }, [
      typed('one\n'),
      typed('two\n'),
      { kind: 'stdin-end' },
    ]);
    expect(events[0]).toEqual({ kind: 'started', tty: false });
    expect(printed(events, 'stdout')).toBe('one\ntwo\n');
    expect(printed(events, 'stderr')).toBe('end\n');
    expect(events.at(-1)).toEqual({ kind: 'exit', code: 7 });
    await harness().executor.remove(id, signal());
  });

  it('attaches to what is printed from now on, and tells how it ended', async () => {
    const { executor } = harness();
    const id = await make.started({ kind: 'forever' });
    const over = new AbortController();
    const start: SessionStart = { kind: 'attach', stdin: false };
    const input = sending([], over.signal);
    const events: SessionEvent[] = [];
    for await (const event of executor.workbench.session(id, { start, input }, signal())) {
      // What does not run any more is not attached to.
      if (events.length === 0) await executor.stop(id, { graceMs: 0, signal: signal() });
      events.push(event);
    }
    over.abort();
    expect(events.at(-1)).toEqual({ kind: 'exit', code: 137 });
    await harness().executor.remove(id, signal());
  });

  it('lets go of what was attached to, which goes on', async () => {
    const id = await make.started({ kind: 'forever' });
    const events = await session(id, { kind: 'attach', stdin: false }, [{ kind: 'leave' }]);
    expect(events.map(({ kind }) => kind)).toEqual(['started']);
    expect((await harness().executor.workbench.top(id)).length).toBeGreaterThan(0);
    await harness().executor.remove(id, signal());
  });

  it('refuses sessions with what does not run, has no program or reads nothing', async () => {
    const id = await make.prepared({ kind: 'forever' });
    const failed = (code: string) => ({ code });
    const exec = { ...EXEC, argv: ['/bin/true'] };
    await expect(session(id, exec, [])).rejects.toMatchObject(failed('failed-precondition'));
    await expect(session('nobody', exec, [])).rejects.toMatchObject(failed('not-found'));
    await harness().executor.start(id, signal());
    await expect(session(id, EXEC, [])).rejects.toMatchObject(failed('invalid-argument'));
    const attach: SessionStart = { kind: 'attach', stdin: true };
    await expect(session(id, attach, [])).rejects.toMatchObject(failed('failed-precondition'));
    await harness().executor.remove(id, signal());
  });

  it('shows processes and figures of what runs', async () => {
    const id = await make.started({ kind: 'forever' });
    const { workbench } = harness().executor;
    const [first] = await workbench.top(id);
    expect(first?.containerPid).toBe(1);
    expect(await workbench.stats(id)).toMatchObject({ pids: 1, memoryLimitBytes: 0 });
    await harness().executor.remove(id, signal());
    await expect(workbench.top(id)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('keeps named volumes, and those that are used', async () => {
    const { executor } = harness();
    const volume = { driver: '', options: {}, labels: { a: 'b' } };
    await executor.volumes.create({ ...volume, name: 'one' });
    expect(await executor.volumes.create({ ...volume, name: 'one' })).toMatchObject({
      name: 'one',
      driver: 'local',
      labels: { a: 'b' },
      used: false,
    });
    const id = newId();
    const request = harness().request(id, { kind: 'forever' });
    const mounts = [mountSpec.parse({ kind: 'volume', source: 'two', target: '/two' })];
    await executor.prepare({ ...request, spec: { ...request.spec, mounts } }, signal());
    const shown = async () =>
      (await executor.volumes.list()).map(({ name, used }) => `${name} ${used}`);
    expect(await shown()).toEqual(['one false', 'two true']);
    await expect(executor.volumes.remove('two')).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await executor.remove(id, signal());
    for (const name of ['one', 'two']) await executor.volumes.remove(name);
    await expect(executor.volumes.remove('one')).rejects.toMatchObject({ code: 'not-found' });
    expect(await shown()).toEqual([]);
  });

  it('names images, and keeps those that are used', async () => {
    const { executor, image } = harness();
    const { reference } = await executor.images.inspect(image);
    await executor.images.tag(image, 'test/other:2');
    const id = await make.prepared({ kind: 'forever' });
    await expect(executor.images.remove(image)).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    const shown = (await executor.images.list()).map(({ reference, used }) => [reference, used]);
    expect(Object.fromEntries(shown)).toEqual({
      [reference]: true,
      'docker.io/test/other:2': false,
    });
    await executor.images.remove('test/other:2');
    await expect(executor.images.remove('test/other:2')).rejects.toMatchObject({
      code: 'not-found',
    });
    await executor.start(id, signal());
    await executor.remove(id, signal());
  });

  it('passes on a signal', async () => {
    const id = await make.ready({ kind: 'graceful', code: 9 });
    await harness().executor.workbench.signal(id, 'TERM');
    expect(await harness().executor.wait(id, signal())).toMatchObject({ code: 9 });
    await harness().executor.remove(id, signal());
  });

  it('pauses; what is paused runs no sessions and can be stopped', async () => {
    const id = await make.started({ kind: 'forever' });
    const { executor } = harness();
    expect(await executor.workbench.isPaused(id)).toBe(false);
    await executor.workbench.pause(id);
    expect(await executor.workbench.isPaused(id)).toBe(true);
    await expect(session(id, { ...EXEC, argv: ECHO }, [])).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await harness().reopen();
    await harness().executor.restore(signal());
    await harness().executor.stop(id, { graceMs: 0, signal: signal() });
    expect(await harness().executor.wait(id, signal())).toMatchObject({ code: 137 });
    await harness().executor.remove(id, signal());
  });
}

function survival(harness: () => Harness, make: { prepared: Make; started: Make }): void {
  it('finds every container again in its next life', async () => {
    const created = await make.prepared({ kind: 'exit', code: 4 });
    const running = await make.started({ kind: 'forever' });
    const exited = await make.started({ kind: 'exit', code: 6 });
    await harness().executor.wait(exited, signal());
    await harness().reopen();
    const { executor } = harness();
    const found = await executor.restore(signal());
    expect([created, running, exited].map((id) => found.get(id))).toEqual([
      'created',
      'running',
      'exited',
    ]);
    expect(await executor.wait(exited, signal())).toMatchObject({ code: 6, error: '' });
    await executor.start(created, signal());
    expect(await executor.wait(created, signal())).toMatchObject({ code: 4, error: '' });
    await executor.stop(running, { graceMs: 0, signal: signal() });
    expect(await executor.wait(running, signal())).toMatchObject({ code: 137 });
    for (const id of [created, running, exited]) await executor.remove(id, signal());
    expect((await executor.restore(signal())).size).toBe(0);
  });
}
