/** Sessions, copies and looks at real containers: terminals, signals, links that lead outside. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { SessionEvent, SessionInput, SessionStart } from '../src/index.ts';
import { EXEC, printed, typed } from './conformance.ts';
import { ContainerRunner, sh, signal, until } from './fixtures/container-runner.ts';
import { failuresInside, INSIDE_TIMEOUT_MS, isInside } from './fixtures/private-machine.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

/** Input that a test types step by step, when it has seen what it waits for. */
class Keyboard {
  readonly #messages: SessionInput[] = [];
  #wake: () => void = () => undefined;
  #isOver = false;

  type(...messages: SessionInput[]): void {
    this.#messages.push(...messages);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *input(): AsyncGenerator<SessionInput> {
    while (!this.#isOver) {
      const message = this.#messages.shift();
      if (message === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else yield message;
    }
  }
}

describe.runIf(isInside)('the workbench', () => {
  let runner: ContainerRunner;
  beforeAll(async () => {
    runner = await ContainerRunner.make();
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
  });

  /** @param react what to type when the output so far has changed. */
  async function interact(
    id: string,
    start: SessionStart,
    react: (output: string, keyboard: Keyboard) => void,
  ): Promise<SessionEvent[]> {
    const keyboard = new Keyboard();
    const events: SessionEvent[] = [];
    const session = { start, input: keyboard.input() };
    for await (const event of runner.executor.workbench.session(id, session, signal())) {
      events.push(event);
      react(printed(events, 'stdout'), keyboard);
    }
    keyboard.end();
    return events;
  }

  it('starts programs that go on by themselves, and says when one cannot', async () => {
    await runner.whileRunning({}, async (_, id) => {
      const start = { ...EXEC, stdin: false, detached: true };
      const line = 'echo noise; echo noise >&2; echo $$ > /begun; exec sleep 1000';
      const begun = { ...start, argv: ['/bin/sh', '-c', line] };
      expect(await interact(id, begun, () => undefined)).toEqual([
        { kind: 'started', tty: false },
        { kind: 'exit', code: 0 },
      ]);
      await until(async () =>
        (await runner.executor.workbench.top(id)).some(({ command }) => command === 'sleep 1000'),
      );
      const wrong = { ...start, argv: ['/nothing'] };
      await expect(interact(id, wrong, () => undefined)).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringMatching(/^\/nothing cannot be run: .*No such file/) as string,
      });
    });
  });

  /** Does each step once, when the output ends as it says. */
  function steps(...script: [string, SessionInput[]][]): (output: string, k: Keyboard) => void {
    const left = [...script];
    return (output, keyboard) => {
      const [expected, messages] = left[0] ?? [];
      if (expected === undefined || !output.includes(expected)) return;
      left.shift();
      keyboard.type(...(messages ?? []));
    };
  }

  const TTY = { ...EXEC, tty: true, rows: 33, columns: 99 };

  it('gives a program a terminal that changes its size, and passes on its exit code', async () => {
    await runner.whileRunning({}, async (_pid, id) => {
      const script =
        'trap \'stty size\' WINCH; stty size; until [ -n "$x" ]; do read x; done; echo got:$x; exit 42';
      const events = await interact(
        id,
        { ...TTY, argv: ['/bin/sh', '-c', script] },
        steps(['33 99', [{ kind: 'resize', rows: 50, columns: 120 }, typed('word\r')]]),
      );
      const output = printed(events, 'stdout');
      expect(output).toContain('got:word\r\n');
      expect(output).toContain('50 120');
      expect(events.at(-1)).toEqual({ kind: 'exit', code: 42 });
    });
  });

  it('takes ctrl-c as a terminal does, and signals by name', async () => {
    await runner.whileRunning({}, async (_pid, id) => {
      const argv = [
        '/bin/sh',
        '-c',
        "trap 'echo int; exit 5' INT; echo up; while :; do sleep 0.1; done",
      ];
      const typedOne = await interact(id, { ...TTY, argv }, steps(['up', [typed('\u0003')]]));
      expect(typedOne.at(-1)).toEqual({ kind: 'exit', code: 5 });
      const sent: SessionInput = { kind: 'signal', name: 'INT' };
      const signalled = await interact(id, { ...EXEC, argv }, steps(['up', [sent]]));
      expect(signalled.at(-1)).toEqual({ kind: 'exit', code: 5 });
    });
  });

  it('runs as another user, elsewhere, with more environment', async () => {
    await runner.whileRunning({}, async (_pid, id) => {
      const start = {
        ...EXEC,
        argv: ['/bin/sh', '-c', 'id -u; id -g; pwd; echo $X; grep CapEff /proc/self/status'],
        user: '12:34',
        dir: '/proc',
        env: ['X=y'],
        stdin: false,
      };
      const events = await interact(id, start, () => undefined);
      expect(printed(events, 'stdout')).toMatch(/^12\n34\n\/proc\ny\nCapEff:\s0000000000000000\n$/);
      const all = { ...start, user: '', dir: '', privileged: true };
      const privileged = await interact(id, all, () => undefined);
      const known = await readFile('/proc/sys/kernel/cap_last_cap', 'latin1');
      const text = printed(privileged, 'stdout');
      const effective = BigInt(`0x${/CapEff:\s*(\w+)/.exec(text)?.[1] ?? '0'}`);
      expect(effective & (1n << 21n)).not.toBe(0n);
      expect(Number(known)).toBeGreaterThan(21);
    });
  });

  it('says so when there is no such program', async () => {
    await runner.whileRunning({}, async (_pid, id) => {
      const events = await interact(id, { ...EXEC, argv: ['/no/such'] }, () => undefined);
      expect(printed(events, 'stderr')).toContain('/no/such');
      const last = events.at(-1);
      expect(last?.kind === 'exit' && last.code !== 0).toBe(true);
    });
  });

  it('ends the program of a session that is left, also on a terminal', async () => {
    await runner.whileRunning({}, async (_pid, id) => {
      const { workbench } = runner.executor;
      for (const tty of [false, true]) {
        const start = { ...TTY, tty, argv: ['/bin/sh', '-c', 'echo up; exec sleep 900'] };
        const input = new Keyboard().input();
        for await (const event of workbench.session(id, { start, input }, signal())) {
          if (event.kind === 'output') break;
        }
        await until(async () => (await workbench.top(id)).length === 1);
      }
    });
  });

  it('attaches to a terminal: keys in, output out, another size', async () => {
    const spec = { ...sh('echo up; read x; echo got:$x; stty size; exit 9'), tty: true };
    await runner.whileRunning({ spec }, async (_pid, id) => {
      let isNew = true;
      const events = await interact(id, { kind: 'attach', stdin: true }, (_output, keyboard) => {
        if (isNew) keyboard.type({ kind: 'resize', rows: 20, columns: 70 }, typed('k\r'));
        isNew = false;
      });
      expect(printed(events, 'stdout')).toContain('got:k\r\n20 70\r\n');
      expect(events.at(-1)).toEqual({ kind: 'exit', code: 9 });
    });
  });
  it('passes on all that was typed before somebody leaves', async () => {
    const spec = { ...sh('read x; echo $x | wc -c; exit 3'), tty: true };
    await runner.whileRunning({ spec }, async (_pid, id) => {
      const start: SessionStart = { kind: 'attach', stdin: true };
      const keys = Array.from({ length: 40 }, () => typed('k'.repeat(100)));
      let isNew = true;
      const events = await interact(id, start, (_output, keyboard) => {
        if (isNew) keyboard.type(...keys, { kind: 'leave' });
        isNew = false;
      });
      expect(events.at(-1)?.kind).not.toBe('exit');
      const after = await interact(id, start, (output, keyboard) => {
        if (output === '') keyboard.type(typed('\r'));
      });
      expect(printed(after, 'stdout')).toContain('4001');
      expect(after.at(-1)).toEqual({ kind: 'exit', code: 3 });
    });
  });

  it('attaches to open standard input, which outlives who attached', async () => {
    const spec = {
      ...sh('while read x; do echo got:$x; [ $x = end ] && exit 4; done; exit 1'),
      stdin: true,
    };
    await runner.whileRunning({ spec }, async (_pid, id) => {
      const keyboard = new Keyboard();
      const start: SessionStart = { kind: 'attach', stdin: true };
      const session = { start, input: keyboard.input() };
      keyboard.type(typed('one\n'));
      for await (const event of runner.executor.workbench.session(id, session, signal())) {
        if (event.kind === 'output') break;
      }
      keyboard.end();
      const events = await interact(id, start, (output, keys) => {
        if (output === '') keys.type(typed('end\n'));
      });
      expect(printed(events, 'stdout')).toContain('got:end\n');
      expect(events.at(-1)).toEqual({ kind: 'exit', code: 4 });
    });
  });

  async function tar(folder: string, ...args: string[]): Promise<Buffer> {
    const child = spawn('tar', ['-C', folder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const chunks = await Array.fromAsync(child.stdout as AsyncIterable<Buffer>);
    if (child.exitCode === null) await once(child, 'exit');
    return Buffer.concat(chunks);
  }

  it('copies in and out, and follows no link out of the container', async () => {
    const folder = join(runner.machine.folder, 'copy');
    await mkdir(join(folder, 'tree'), { recursive: true });
    await writeFile(join(folder, 'tree', 'file'), 'content');
    await symlink('file', join(folder, 'tree', 'link'));
    await writeFile(join(runner.machine.folder, 'secret'), 'of the machine');
    const script = `mkdir -p /data; ln -s ${runner.machine.folder} /evil; ln -s /data /alias; exec sleep 900`;
    await runner.whileRunning({ spec: sh(script) }, async (_pid, id) => {
      const { workbench } = runner.executor;
      const there = (path: string): Promise<boolean> =>
        workbench.pathInfo(id, path).then(
          () => true,
          () => false,
        );
      await until(() => there('/alias'));
      const archive = await tar(folder, '-cf-', 'tree');
      async function* parts(): AsyncGenerator<Uint8Array> {
        yield archive.subarray(0, 700);
        yield archive.subarray(700);
      }
      await workbench.copyIn(id, { directory: '/alias', archive: parts() }, signal());
      expect(await workbench.pathInfo(id, '/data/tree/file')).toMatchObject({
        kind: 'file',
        bytes: 7,
      });
      expect(await workbench.pathInfo(id, '/alias')).toMatchObject({
        kind: 'link',
        target: '/data',
      });
      const out = await Array.fromAsync(workbench.copyOut(id, '/alias/tree', signal()));
      await writeFile(join(folder, 'out.tar'), Buffer.concat(out));
      const names = (await tar(folder, '-tf', join(folder, 'out.tar')))
        .toString()
        .split('\n')
        .sort();
      expect(names).toEqual(['', './tree/', './tree/file', './tree/link']);
      for (const path of ['/evil/secret', '/evil/../../secret']) {
        await expect(workbench.pathInfo(id, path)).rejects.toMatchObject({ code: 'not-found' });
      }
      const into = { directory: '/evil', archive: parts() };
      await expect(workbench.copyIn(id, into, signal())).rejects.toMatchObject({
        code: 'not-found',
      });
      expect(await workbench.isPaused(id)).toBe(false);
    });
    await rm(folder, { recursive: true });
  });

  it('shows what a busy container uses', async () => {
    const limits = { memoryBytes: 64 * 1024 * 1024, nanoCpus: 0, pids: 20 };
    await runner.whileRunning({ spec: sh('while :; do :; done'), limits }, async (_pid, id) => {
      const { workbench } = runner.executor;
      const first = await workbench.stats(id);
      expect(first).toMatchObject({ memoryLimitBytes: limits.memoryBytes, pidsLimit: 20, pids: 1 });
      await until(async () => (await workbench.stats(id)).cpuNs > first.cpuNs + 1e7);
      await workbench.pause(id);
      const paused = await workbench.stats(id);
      expect((await workbench.stats(id)).cpuNs).toBe(paused.cpuNs);
      await workbench.unpause(id);
      await until(async () => (await workbench.stats(id)).cpuNs > paused.cpuNs);
      const [process] = await workbench.top(id);
      expect(process).toMatchObject({ containerPid: 1, uid: 0, state: 'R' });
    });
  });
});
