/** Throughput and round trips over the ways from one host to another, in turns, each beside another one. */
import { quantile, type Figure } from '../statistics.ts';

/** As many as it takes until medians of a busy machine agree. */
const TURNS = 9;

export type Way = 'hosts' | 'overlay' | 'virtual' | 'mesh' | 'snat';
type Mode = 'stream' | 'round-trip';

const NAMES: Readonly<Record<Way, string>> = {
  hosts: 'host to host',
  overlay: 'overlay',
  virtual: 'virtual address',
  mesh: 'published port, task elsewhere',
  snat: 'the same with SNAT',
};
const MODES: readonly { readonly mode: Mode; readonly unit: string; readonly scale: number }[] = [
  { mode: 'stream', unit: 'Gbit/s', scale: 1e-9 },
  { mode: 'round-trip', unit: 'us', scale: 1 },
];
/** What each way is measured by, and how it shall do beside it. */
const AIMS: Readonly<Record<Mode, Readonly<Partial<Record<Way, readonly [Way, string]>>>>> = {
  stream: {
    overlay: ['hosts', 'ratio of at least 0.75'],
    virtual: ['overlay', 'ratio of at least 0.98'],
    mesh: ['snat', 'ratio of at least 1'],
  },
  'round-trip': {
    overlay: ['hosts', 'ratio of at most 1.35'],
    virtual: ['overlay', 'difference of at most 3'],
    mesh: ['snat', 'ratio of at most 1'],
  },
};

const thousandths = (value: number): number => Math.round(value * 1_000) / 1_000;

/** @param ways each measures one second: bits per second, or the median of microseconds for a byte and back. */
export async function compareWays(
  ways: Readonly<Record<Way, (mode: Mode) => Promise<number>>>,
  print: (figure: Figure) => void,
): Promise<void> {
  const names = Object.keys(ways) as Way[];
  for (const { mode, unit, scale } of MODES) {
    const values: Record<Way, number[]> = {
      hosts: [],
      overlay: [],
      virtual: [],
      mesh: [],
      snat: [],
    };
    for (let turn = 0; turn < TURNS; turn += 1) {
      for (const name of names) values[name].push((await ways[name](mode)) * scale);
    }
    const median = (name: Way): number => quantile(values[name], 0.5);
    // What others do on the machine only makes it worse.
    const best = (name: Way): number =>
      mode === 'stream' ? Math.max(...values[name]) : Math.min(...values[name]);
    for (const name of names) {
      const [beside, aim] = AIMS[mode][name] ?? ['hosts', undefined];
      print({
        metric: `${NAMES[name]}, ${mode}`,
        unit,
        values: values[name],
        beside: NAMES[beside],
        ratio: thousandths(median(name) / median(beside)),
        ratioOfBest: thousandths(best(name) / best(beside)),
        difference: Math.round((median(name) - median(beside)) * 100) / 100,
        ...(aim === undefined ? {} : { aim }),
      });
    }
  }
}
