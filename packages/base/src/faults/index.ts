/**
 * For tests that kill a process at every step that changes the machine (`main.ts`): which steps, and how
 * the victims learn of it.
 */
import { fileURLToPath } from 'node:url';

import { systemClock } from '../system/clock.ts';

export interface FaultPlan {
  /** Whose steps count; the executor is killed in either case. */
  readonly who: 'executor' | 'unpacker';
  /** 1 for the first; a number that is never reached: the program gets to its end. */
  readonly step: number;
  /** Gets the names of the steps, a line each. */
  readonly journal: string;
}

export const ALL_STEPS = process.env['SWARMD_LAB_LONG'] === '1';
/** A step that no life gets to. */
export const NEVER = 100_000;
/** "243", or "240-250". */
const RANGE = process.env['SWARMD_FAULT_STEP'] ?? '';
const DAY_MS = 86_400_000;
const POINTS = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Also for the Node processes that it begins. */
export function faultEnvironment(plan: FaultPlan): NodeJS.ProcessEnv {
  return { NODE_OPTIONS: `--import=${POINTS}`, SWARMD_FAULT: JSON.stringify(plan) };
}

/** The steps that this run kills at. @param some how many of them in CI. */
export function chosenSteps(count: number, some: number): readonly number[] {
  const all = Array.from({ length: count }, (_, index) => index + 1);
  const [from = 0, to = from] = RANGE.split('-').map(Number);
  if (from > 0) return all.filter((step) => step >= from && step <= to);
  const every = ALL_STEPS ? 1 : Math.max(1, Math.ceil(count / some));
  const first = Math.floor(systemClock.now() / DAY_MS) % every;
  return all.filter((step) => step % every === first);
}

declare global {
  var swarmdFaultsBegin: (() => void) | undefined;
}

/** From here on the steps of this process count, if it is to be killed at one. */
export function beginFaults(): void {
  globalThis.swarmdFaultsBegin?.();
}
