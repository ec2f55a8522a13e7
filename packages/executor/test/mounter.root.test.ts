/** The helper's life; that it mounts and unmounts is what every container shows. Nothing is mounted here. */
import { SwarmError } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Mounter } from '../src/files/mounter.ts';
import { MOUNTER_IDLE_MS } from '../src/limits.ts';

describe('the helper that mounts', () => {
  let clock: ManualClock;
  let mounter: Mounter;
  beforeEach(() => {
    clock = new ManualClock();
    mounter = new Mounter(clock);
  });
  afterEach(() => mounter[Symbol.dispose]());

  const ask = (): Promise<void> => mounter.unmount('/there/is nothing\nmounted');
  const isKnown = (error: unknown): boolean => error instanceof SwarmError;

  it('takes it as done that nothing is mounted, and says what the kernel has against a mount', async () => {
    await ask();
    const mount = { type: 'tmpfs', source: 'x', target: '/there/is 100% nothing', options: '' };
    await expect(mounter.mount(mount)).rejects.toThrow(
      'tmpfs cannot be mounted at /there/is 100% nothing with the options : No such file or directory',
    );
  });

  it('does not end while something is asked of it, whatever came before', async () => {
    await Promise.all([ask(), ask(), ask()]);
    const asked = Promise.all([ask(), ask()]);
    // What was asked has gone out once the program is known to be there.
    await Promise.resolve();
    clock.advance(MOUNTER_IDLE_MS);
    expect(await asked).toEqual([undefined, undefined]);
  });

  it('begins anew after it ended for want of work', async () => {
    await ask();
    clock.advance(MOUNTER_IDLE_MS);
    expect(await ask()).toBeUndefined();
  });

  it('fails what was asked, and what is asked later, when it is stopped', async () => {
    const asked = ask().catch((error: unknown) => error);
    await Promise.resolve();
    mounter[Symbol.dispose]();
    expect(isKnown(await asked)).toBe(true);
    await expect(ask()).rejects.toThrow('the executor was stopped');
  });
});
