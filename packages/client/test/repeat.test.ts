import type { Call, Control } from '@swarmd/api';
import { SwarmError, type ErrorCode } from '@swarmd/base';
import { ManualClock, SequentialIds, SeededRandom } from '@swarmd/base/testing';
import { asId, type Service } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { repeatingWrites } from '../src/repeat.ts';

const spec = { name: 'web', task: { container: { image: 'busybox' } } };
const done = { id: 'done' } as unknown as Service;

/** Answers with these codes, one after the other; then it works. */
function failing(...codes: readonly ErrorCode[]): { control: Control; calls: Call[] } {
  const left = [...codes];
  const calls: Call[] = [];
  const answer = async (_request: unknown, call: Call): Promise<Service> => {
    calls.push(call);
    const code = left.shift();
    if (code !== undefined) throw new SwarmError(code, `failure ${code}`);
    return done;
  };
  return { calls, control: { createService: answer, getService: answer } as unknown as Control };
}

function client(control: Control): { control: Control; stop: () => void } {
  const clock = new ManualClock();
  const timer = setInterval(() => clock.advance(500), 1);
  const deps = { clock, random: new SeededRandom(1), ids: new SequentialIds() };
  return { control: repeatingWrites(control, deps), stop: () => clearInterval(timer) };
}

describe('a write whose outcome is not told', () => {
  it('is repeated under the same id until somebody knows', async () => {
    const { control, calls } = failing('unknown-outcome', 'unavailable', 'deadline-exceeded');
    const repeating = client(control);
    const { signal } = new AbortController();
    expect(await repeating.control.createService({ spec }, { signal })).toBe(done);
    await repeating.control.createService({ spec }, { signal });
    repeating.stop();
    const ids = calls.map((call) => call.requestId);
    expect(ids[0]).toMatch(/./);
    expect(ids).toEqual([ids[0], ids[0], ids[0], ids[0], ids[4]]);
    expect(ids[4]).not.toBe(ids[0]);
  });

  it.each([
    { fails: ['already-exists'], code: 'already-exists', attempts: 1 },
    { fails: ['unknown-outcome', 'failed-precondition'], code: 'failed-precondition', attempts: 2 },
  ] as const)('is not repeated after a verdict: $code', async ({ fails, code, attempts }) => {
    const { control, calls } = failing(...fails);
    const repeating = client(control);
    const { signal } = new AbortController();
    const created = repeating.control.createService({ spec }, { signal });
    await expect(created).rejects.toMatchObject({ code });
    repeating.stop();
    expect(calls).toHaveLength(attempts);
  });

  it('stays unclear when nobody ever knows', async () => {
    const endless = Array.from({ length: 1_000 }, () => 'unavailable' as const);
    const { control } = failing('unknown-outcome', ...endless);
    const repeating = client(control);
    const { signal } = new AbortController();
    const created = repeating.control.createService({ spec }, { signal });
    await expect(created).rejects.toMatchObject({ code: 'unknown-outcome' });
    repeating.stop();
  });

  it('reads are passed through', async () => {
    const { control, calls } = failing('unavailable');
    const repeating = client(control);
    const { signal } = new AbortController();
    const read = repeating.control.getService({ id: asId('service', 's') }, { signal });
    await expect(read).rejects.toMatchObject({ code: 'unavailable' });
    repeating.stop();
    expect(calls[0]).not.toHaveProperty('requestId');
  });
});
