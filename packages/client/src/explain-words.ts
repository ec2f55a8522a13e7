/** Numbers and times in the sentences of `explain`. */
const SECOND_MS = 1_000;
/** Less is told in the unit before. */
const UNITS = [
  ['d', 24 * 3_600_000, 48 * 3_600_000],
  ['h', 3_600_000, 2 * 3_600_000],
  ['min', 60_000, 3 * 60_000],
] as const;

/** "1 task", "2 tasks". */
export function many(count: number, one: string, several: string): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** "5 s ago"; clocks differ, so nothing is in the future. */
export function ago(at: number, now: number): string {
  return `${duration(Math.max(0, now - at))} ago`;
}

/** "5 s", "20 min", "24 h", from milliseconds: to the second only where that matters. */
export function duration(ms: number): string {
  for (const [unit, unitMs, leastMs] of UNITS) {
    if (ms >= leastMs) return `${Math.round(ms / unitMs)} ${unit}`;
  }
  return `${Math.round(ms / SECOND_MS)} s`;
}
