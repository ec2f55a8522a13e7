import { describe, expect, it } from 'vitest';

import { run, systemClock, systemIds, systemRandom } from '../src/system/index.ts';

const sh = (script: string, options: Parameters<typeof run>[2] = {}) =>
  run('sh', ['-c', script], options);

describe('running a program', () => {
  it('gives its output, apart', async () => {
    expect(await sh('echo out; echo err >&2')).toEqual({
      code: 0,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it('fails with the command line, the exit code and what it said', async () => {
    const failed = sh('echo nothing; echo no such device >&2; exit 3');
    await expect(failed).rejects.toMatchObject({
      code: 'internal',
      message: 'sh -c echo nothing; echo no such device >&2; exit 3: exit code 3: no such device',
    });
    await expect(sh('echo said on stdout; exit 1')).rejects.toThrow(/exit code 1: said on stdout$/);
    expect(await sh('exit 3', { okCodes: [0, 3] })).toMatchObject({ code: 3 });
    await expect(sh('exit 0', { okCodes: [3] })).rejects.toThrow('exit code 0');
  });

  it('says when there is no such program or folder', async () => {
    await expect(run('swarmd-no-such-program', ['x'])).rejects.toThrow(
      /^swarmd-no-such-program x: .*ENOENT/,
    );
    await expect(sh('true', { cwd: '/no/such/folder' })).rejects.toThrow('ENOENT');
  });

  it('feeds its input, in its folder and environment', async () => {
    expect((await run('cat', [], { input: 'text' })).stdout).toBe('text');
    expect((await run('wc', ['-c'], { input: new Uint8Array(3) })).stdout.trim()).toBe('3');
    expect((await run('cat', [])).stdout).toBe('');
    const said = await run('/bin/sh', ['-c', 'pwd; echo $A'], { cwd: '/', env: { A: '1' } });
    expect(said.stdout).toBe('/\n1\n');
  });

  it('is not disturbed by a program that does not read its input', async () => {
    expect((await sh('exit 0', { input: 'x'.repeat(1_000_000) })).code).toBe(0);
  });

  it('kills what takes too long, even when a child of it keeps the pipes open', async () => {
    for (const script of ['exec sleep 20', 'sleep 20 & wait']) {
      const before = performance.now();
      await expect(sh(script, { timeoutMs: 50 })).rejects.toMatchObject({
        code: 'deadline-exceeded',
        message: `sh -c ${script}: not done after 50 ms, killed`,
      });
      expect(performance.now() - before).toBeLessThan(15_000);
    }
  });

  it('tells of a program that was killed by somebody else', async () => {
    await expect(sh('kill -9 $$')).rejects.toThrow('killed by SIGKILL');
  });

  it('is killed when its signal aborts, and does not start once it has', async () => {
    const controller = new AbortController();
    const running = sh('exec sleep 5', { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await expect(sh('true', { signal: controller.signal })).rejects.toThrow('enough');
  });

  it('keeps a bounded part of its output, and whole characters of it', async () => {
    const flood = await sh('head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2');
    expect(flood.stdout.length).toBe(4 * 1024 * 1024);
    expect(flood.stderr.length).toBe(4 * 1024 * 1024);
    const euros = await run('cat', [], { input: '€'.repeat(200_000) });
    expect(euros.stdout === '€'.repeat(200_000)).toBe(true);
  });
});

describe('the real ports', () => {
  it('ids are 25 characters of base36, all different', () => {
    const ids = Array.from({ length: 100 }, () => systemIds.next());
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(/^[0-9a-z]{25}$/);
  });

  it('chance is in [0, 1), time passes', async () => {
    expect(systemRandom.next()).toBeGreaterThanOrEqual(0);
    expect(systemRandom.next()).toBeLessThan(1);
    const before = systemClock.monotonic();
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
    expect(systemClock.monotonic()).toBeGreaterThan(before);
    expect(systemClock.now()).toBeGreaterThan(1_700_000_000_000);
    systemClock.after(0, () => expect.unreachable('cancelled')).cancel();
  });
});
