/** What the commands of simulations have in common: seeds, one after the other, and how to play one again. */
import { systemClock } from './clock.ts';

/** For `parseArgs`. */
export const SEED_OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  trace: { type: 'boolean' },
} as const;

export const SEED_USAGE = `  --seed N      play one seed (with --seeds or --minutes: the first one)
  --trace       print everything that happens
  --seeds N     play so many seeds
  --minutes M   play seeds for so long
`;

export interface SeedArguments {
  readonly seed?: string | undefined;
  readonly seeds?: string | undefined;
  readonly minutes?: string | undefined;
  readonly trace?: boolean | undefined;
}

/** @throws Error for what is not a positive number. */
export function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} needs a number above 0, not "${text}"`);
}

/**
 * Plays seeds as the arguments ask. `command` is what plays one of them again, without `--seed`;
 * `play` answers what was broken, if anything. Failures are printed.
 */
export async function playSeeds(
  { seed, seeds, minutes, trace }: SeedArguments,
  game: {
    readonly command: string;
    /** How many are played when the arguments say nothing. */
    readonly usual: number;
    readonly play: (
      seed: number,
      trace: ((line: string) => void) | undefined,
    ) => Promise<string | undefined>;
  },
): Promise<{ seeds: number; failed: number; tookMs: number }> {
  const first = seed === undefined ? 1 : positive('seed', seed);
  const usual = seed === undefined ? game.usual : 1;
  const count = seeds === undefined ? usual : positive('seeds', seeds);
  const started = systemClock.monotonic();
  const end = minutes === undefined ? Infinity : started + positive('minutes', minutes) * 60_000;
  const last = minutes === undefined ? first + count - 1 : Infinity;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const totals = { seeds: 0, failed: 0 };
  for (let at = first; at <= last && systemClock.monotonic() < end; at += 1) {
    const failure = await game.play(at, trace === true ? say : undefined);
    totals.seeds += 1;
    if (failure === undefined) continue;
    totals.failed += 1;
    say(`seed ${at}: ${failure}\nplay it again: ${game.command} --seed ${at} --trace`);
  }
  return { ...totals, tookMs: Math.round(systemClock.monotonic() - started) };
}
