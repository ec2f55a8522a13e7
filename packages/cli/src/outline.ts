/**
 * `inspect --pretty`: objects as indented outlines for people. What is empty or zero says nothing and
 * is left out, and numbers have the units that their names tell of.
 */
import { ago, bytes, capitalize, json, oneLine } from './output.ts';

/** Fields in which a zero is news. */
const ZERO_COUNTS: ReadonlySet<string> = new Set(['replicas', 'parallelism', 'exitCode']);
/** Maps whose keys people chose. */
const NAMED: ReadonlySet<string> = new Set(['labels', 'options', 'driverOptions', 'sysctls']);
/** What has a command of its own (service history). */
const ELSEWHERE: ReadonlySet<string> = new Set(['history']);
const NANO = 1e9;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export interface InspectFlags {
  readonly pretty: boolean;
}

export const PRETTY_HINT = 'for people: an outline of what is set';

/** What `inspect` prints. `now`: milliseconds since the epoch. */
export function inspected(
  objects: readonly object[],
  { pretty }: InspectFlags,
  now: number,
): string {
  return pretty ? outline(objects, now) : json(objects, 2);
}

function outline(objects: readonly object[], now: number): string {
  return objects.map((object) => `${fieldLines(object, now).join('\n')}\n`).join('\n');
}

function fieldLines(object: object, now: number, title = titleOf): string[] {
  return Object.entries(object).flatMap(([key, value]) => {
    if (saysNothing(key, value)) return [];
    const titles = NAMED.has(key) ? (name: string): string => name : titleOf;
    const inner = Array.isArray(value) ? itemLines(value, now) : nestedLines(value, now, titles);
    if (inner === undefined) return [`${title(key)}: ${textOf(key, value, now)}`];
    return inner.length === 0 ? [] : [`${title(key)}:`, ...inner.map((line) => `  ${line}`)];
  });
}

/** Undefined for what is no object. */
function nestedLines(value: unknown, now: number, title = titleOf): string[] | undefined {
  const isPlain = typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
  return isPlain ? fieldLines(value, now, title) : undefined;
}

function itemLines(items: readonly unknown[], now: number): string[] {
  return items.flatMap((item) => {
    const [first, ...others] = nestedLines(item, now) ?? [oneLine(String(item))];
    return first === undefined ? [] : [`- ${first}`, ...others.map((line) => `  ${line}`)];
  });
}

function saysNothing(key: string, value: unknown): boolean {
  if (ELSEWHERE.has(key)) return true;
  if (value === undefined || value === null || value === '' || value === false) return true;
  if (value === 0) return !ZERO_COUNTS.has(key);
  return Array.isArray(value) && value.length === 0;
}

/** "stopGracePeriodMs" -> "Stop grace period". */
function titleOf(key: string): string {
  if (key === 'id') return 'ID';
  const words = key.replace(/(?<=[a-z])(?:Ms|Bytes)$/, '').replace(/^nanoCpus$/, 'cpus');
  return capitalize(words.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

function textOf(key: string, value: unknown, now: number): string {
  if (value === true) return 'yes';
  if (value instanceof Uint8Array) return bytes(value.length);
  if (typeof value !== 'number') return oneLine(String(value));
  if (/(?:^at|At|since|timestamp|Since)$/.test(key)) return ago(value, now);
  if (key.endsWith('Ms')) return duration(value);
  if (/[bB]ytes$/.test(key)) return bytes(value);
  if (/^mode$|Mode$/.test(key)) return value.toString(8).padStart(4, '0');
  return key === 'nanoCpus' ? String(value / NANO) : String(value);
}

function duration(ms: number): string {
  if (ms < SECOND_MS) return `${ms} ms`;
  if (ms < MINUTE_MS) return `${ms / SECOND_MS} s`;
  return ms < HOUR_MS ? `${ms / MINUTE_MS} min` : `${ms / HOUR_MS} h`;
}
