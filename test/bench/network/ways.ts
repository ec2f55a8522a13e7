/** Throughput and round trips over the ways from one host to another, each beside another one. */
import { quantile, type Figure } from '../statistics.ts';

/** As many as it takes until medians of a busy machine agree. */
const TURNS = 31;

export type Mode = 'stream' | 'round-trip';

const UNITS: Readonly<Record<Mode, { readonly unit: string; readonly scale: number }>> = {
  stream: { unit: 'Gbit/s', scale: 1e-9 },
  'round-trip': { unit: 'us', scale: 1 },
};

export interface Measured {
  /** Bits per second, or microseconds for a byte and back. */
  readonly value: number;
  /** Of both ends' processors: microseconds for a megabyte, or for a byte and back. */
  readonly cpuUs?: number;
}

/** A median is known well enough when it lies, with 95 % of certainty, in a range of this width. */
const KNOWN_WIDTH = 0.02;
const ROUNDS_MAX = 15;

/** Two ways, how the first shall do beside the second, and what measures them. */
export interface Comparison {
  readonly names: readonly [string, string];
  readonly aims: Readonly<Record<Mode, string>>;
  /** Measured again until the median is known well, if not for ever. */
  readonly untilKnown?: true;
  readonly measure: (mode: Mode) => Promise<readonly (readonly [Measured, Measured])[]>;
}

const thousandths = (value: number): number => Math.round(value * 1_000) / 1_000;

/** Of ways that one program cannot measure: in turns, one after the other. */
export async function inTurns(
  first: () => Promise<number>,
  second: () => Promise<number>,
): Promise<[Measured, Measured][]> {
  const pairs: [Measured, Measured][] = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    pairs.push([{ value: await first() }, { value: await second() }]);
  }
  return pairs;
}

export async function compareWays(
  comparisons: readonly Comparison[],
  print: (figure: Figure) => void,
): Promise<void> {
  for (const mode of ['stream', 'round-trip'] as const) {
    const { unit, scale } = UNITS[mode];
    for (const { names, aims, measure, untilKnown } of comparisons) {
      const pairs = [...(await measure(mode))];
      const rounds = untilKnown === true ? ROUNDS_MAX : 1;
      for (let round = 1; round < rounds && !isKnown(pairs); round += 1) {
        pairs.push(...(await measure(mode)));
      }
      const valueOf = ({ value }: Measured): number => value * scale;
      print({
        metric: `${names[0]}, ${mode}`,
        unit,
        beside: names[1],
        aim: aims[mode],
        ...compared(pairs.map(([one, other]) => [valueOf(one), valueOf(other)])),
      });
      const cpu = pairs.map(([one, other]) => [one.cpuUs ?? NaN, other.cpuUs ?? NaN] as const);
      if (cpu.some((pair) => pair.some(Number.isNaN))) continue;
      const what = mode === 'stream' ? 'us/MiB' : 'us';
      const metric = `${names[0]}, ${mode}, CPU`;
      print({ metric, unit: what, beside: names[1], ...compared(cpu) });
    }
  }
}

function isKnown(pairs: readonly (readonly [Measured, Measured])[]): boolean {
  const [low, high] = medianWithin(pairs.map(([one, other]) => one.value / other.value));
  return high - low <= KNOWN_WIDTH;
}

/**
 * The range that holds the true median with 95 % of certainty, whatever the distribution: between the
 * values whose ranks are 1.96 deviations of a binomial distribution from the middle.
 */
function medianWithin(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const [middle, reach] = [(sorted.length - 1) / 2, 0.98 * Math.sqrt(sorted.length)];
  const [low, high] = [Math.floor(middle - reach), Math.ceil(middle + reach)];
  return [sorted[low] ?? Number.NEGATIVE_INFINITY, sorted[high] ?? Number.POSITIVE_INFINITY];
}

/** Of pairs, as whatever else the machine does meets both of one alike. */
function compared(pairs: readonly (readonly [number, number])[]): {
  values: number[];
  besideP50: number;
  ratio: number;
  ratioQuartiles: number[];
  ratioWithin: number[];
  difference: number;
} {
  const ratios = pairs.map(([one, other]) => one / other);
  return {
    values: pairs.map(([one]) => one),
    besideP50: thousandths(
      quantile(
        pairs.map(([, other]) => other),
        0.5,
      ),
    ),
    ratio: thousandths(quantile(ratios, 0.5)),
    ratioQuartiles: [0.25, 0.75].map((part) => thousandths(quantile(ratios, part))),
    ratioWithin: medianWithin(ratios).map(thousandths),
    difference: thousandths(
      quantile(
        pairs.map(([one, other]) => one - other),
        0.5,
      ),
    ),
  };
}
