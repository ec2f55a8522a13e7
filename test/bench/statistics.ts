/** Figures as the benchmarks print them: one JSON line a metric. */

export interface Figure {
  readonly metric: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** What we aim at, and Docker Swarm's figure measured elsewhere, in the same unit. */
  readonly target?: number;
  readonly [extra: string]: unknown;
}

const round = (value: number): number => Math.round(value * 100) / 100;

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** Prints {bench, metric, unit, n, p50, p95, min, max, ...}. @returns the median. */
export function print(bench: string, figure: Figure): number {
  const { metric, unit, values, target, ...extra } = figure;
  const p50 = quantile(values, 0.5);
  const line = {
    bench,
    metric,
    unit,
    n: values.length,
    p50: round(p50),
    p95: round(quantile(values, 0.95)),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
    ...(target === undefined ? {} : { target, withinTarget: p50 <= target }),
    ...extra,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  return p50;
}

/** What Docker's median was in the same run, and ours divided by it. */
export function besideDocker(
  ours: readonly number[],
  dockers: readonly number[],
): { readonly docker: number; readonly ratio: number } {
  const docker = quantile(dockers, 0.5);
  return { docker: round(docker), ratio: round(quantile(ours, 0.5) / docker) };
}
