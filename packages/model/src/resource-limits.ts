/** When limits of a container are the same: what is not set is no difference, however it is not set. */
import type { ResourceLimits } from './spec/task.ts';

export function sameLimits(a: ResourceLimits, b: ResourceLimits | undefined): boolean {
  if (b === undefined || a === b) return a === b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof ResourceLimits>;
  return [...names].every((name) => a[name] === b[name]);
}
