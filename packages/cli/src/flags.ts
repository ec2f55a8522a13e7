/** Values of flags as people write them: sizes, durations, CPUs, ports, key=value pairs. */
import type { CanaryStep } from '@swarmd/model';
import { InvalidArgumentError } from 'commander';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** "512M", "1.5g", "1048576" -> bytes. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text);
  const unit = SIZE_UNITS[match?.[2]?.toLowerCase() ?? 'none'];
  if (match === null || unit === undefined)
    throw new InvalidArgumentError('use a size such as 64M or 1.5G.');
  return Math.round(Number(match[1]) * unit);
}

/** "1m30s", "500ms", "10s" -> milliseconds. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (text === '0') return 0;
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw new InvalidArgumentError('use a duration such as 500ms, 10s or 1m30s.');
  }
  return Math.round(
    parts.reduce((sum, part) => sum + Number(part[1]) * (DURATION_UNITS_MS[part[2] ?? ''] ?? 0), 0),
  );
}

/** A point in time, given the present one; both in milliseconds since the epoch. */
export type Moment = (now: number) => number;

/** "10m" (ago), "2026-11-21T13:21:19Z" (without a zone: local time), seconds since the epoch. */
export function parseMoment(text: string): Moment {
  if (/^\d{5,}(\.\d+)?$/.test(text)) return () => Number(text) * 1_000;
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    // oxlint-disable-next-line no-restricted-globals -- parsing a given time reads no clock
    const at = Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);
    if (!Number.isNaN(at)) return () => at;
    throw new InvalidArgumentError(
      'use a time such as 2026-11-21T13:21:19Z, or how long ago: 10m.',
    );
  }
  const agoMs = parseDuration(text);
  return (now) => now - agoMs;
}

/** "0.5" CPUs -> billionths of a CPU. */
export function parseCpus(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text))
    throw new InvalidArgumentError('use a number of CPUs such as 0.5 or 2.');
  return Math.round(Number(text) * 1e9);
}

export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('use a whole number.');
  return value;
}

export function parseRatio(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('use a number from 0 to 1.');
  return value;
}

/** For flags that may be given several times. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** The same for values that stand for several. */
export function collectAll<T>(
  parse: (text: string) => T[],
): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), ...parse(text)];
}

export function parseText(text: string): string {
  return text;
}

export function parseEnv(text: string): string {
  if (!/^[^=]+(=[\s\S]*)?$/.test(text)) throw new InvalidArgumentError('use NAME=value.');
  return text;
}

/** "key=value" or "key" -> [key, value]. */
export function parseLabel(text: string): [string, string] {
  const cut = text.indexOf('=');
  const key = cut < 0 ? text : text.slice(0, cut);
  if (key === '') throw new InvalidArgumentError('use key=value.');
  return [key, cut < 0 ? '' : text.slice(cut + 1)];
}

export function oneOf<const T extends string>(...values: readonly T[]): (text: string) => T {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value === undefined) throw new InvalidArgumentError(`use one of: ${values.join(', ')}.`);
    return value;
  };
}

/** The fields of "key=value" parts; `allowed` are the keys there may be. */
export function longForm(
  parts: readonly string[],
  allowed: readonly string[],
): Map<string, string> {
  const fields = new Map(parts.map(parseLabel));
  for (const key of fields.keys()) {
    if (!allowed.includes(key))
      throw new InvalidArgumentError(`unknown field "${key}": use ${allowed.join(', ')}.`);
  }
  return fields;
}

export function required(fields: ReadonlyMap<string, string>, key: string): string {
  const value = fields.get(key);
  if (value === undefined || value === '') throw new InvalidArgumentError(`${key}=... is missing.`);
  return value;
}

export function parseFileMode(text: string): number {
  if (!/^[0-7]{1,5}$/.test(text))
    throw new InvalidArgumentError(`"${text}" is no file mode: use octal digits, e.g. 0440.`);
  return Number.parseInt(text, 8);
}

/** A secret or config as a file, by the name it has in the cluster. */
export interface FileFlag {
  readonly source: string;
  readonly target?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

/** "name", "name:target" or "source=name,target=file,uid=0,gid=0,mode=0440". */
export function parseFile(text: string): FileFlag {
  if (!text.includes('=')) {
    const cut = text.indexOf(':');
    const [source, target] = cut < 0 ? [text] : [text.slice(0, cut), text.slice(cut + 1)];
    if (source === '' || target === '') throw new InvalidArgumentError('use NAME[:TARGET].');
    return target === undefined ? { source } : { source, target };
  }
  const fields = longForm(text.split(','), ['source', 'src', 'target', 'uid', 'gid', 'mode']);
  const file: { -readonly [K in keyof FileFlag]: FileFlag[K] } = {
    source: fields.get('src') ?? required(fields, 'source'),
  };
  if (fields.has('target')) file.target = required(fields, 'target');
  if (fields.has('uid')) file.uid = parseCount(required(fields, 'uid'));
  if (fields.has('gid')) file.gid = parseCount(required(fields, 'gid'));
  if (fields.has('mode')) file.mode = parseFileMode(required(fields, 'mode'));
  return file;
}

/** A network to attach to, by name, and more DNS names of the service there. */
export interface NetworkFlag {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** "net" or "name=net,alias=db,alias=database". */
export function parseNetwork(text: string): NetworkFlag {
  if (!text.includes('=')) return { name: text, aliases: [] };
  const name = required(longForm(text.split(','), ['name', 'alias']), 'name');
  const pairs = text.split(',').map(parseLabel);
  return { name, aliases: pairs.flatMap(([key, value]) => (key === 'alias' ? [value] : [])) };
}

/** "name:address" -> a line of /etc/hosts. */
export function parseHost(text: string): string {
  const cut = text.indexOf(':');
  const [name, address] = [text.slice(0, cut), text.slice(cut + 1)];
  if (cut < 1 || address === '')
    throw new InvalidArgumentError('use NAME:ADDRESS, e.g. db:10.1.2.3.');
  return `${address} ${name}`;
}

/** "spread=node.labels.zone". */
export function parsePreference(text: string): { spread: string } {
  const spread = /^spread=(.+)$/.exec(text)?.[1];
  if (spread === undefined) throw new InvalidArgumentError('use spread=node.labels.NAME.');
  return { spread };
}

/** "10%:approve,3:health=30s", or "none". */
export function parseCanary(text: string): CanaryStep[] {
  return text === 'none' ? [] : text.split(',').map(parseCanaryStep);
}

function parseCanaryStep(text: string): CanaryStep {
  const [, count, percent, duration] = /^(\d+)(%?):(?:approve|health=(.+))$/.exec(text) ?? [];
  const size = Number(count);
  const healthMs = duration === undefined ? 0 : parseDuration(duration);
  const isNever = duration !== undefined && healthMs === 0;
  if (count === undefined || size < 1 || isNever || (percent === '%' && size > 100)) {
    throw new InvalidArgumentError(
      `"${text}" is no canary step: use SIZE:approve or SIZE:health=DURATION, where SIZE is a ` +
        'number of tasks or a percentage, e.g. 10%:approve,3:health=30s.',
    );
  }
  return percent === '%' ? { percent: size, healthMs } : { tasks: size, healthMs };
}

/** "linux/amd64". */
export function parsePlatform(text: string): { os: string; architecture: string } {
  const [os = '', architecture = '', ...rest] = text.split('/');
  if (os === '' || architecture === '' || rest.length > 0)
    throw new InvalidArgumentError('use OS/ARCHITECTURE, e.g. linux/amd64.');
  return { os, architecture };
}

/** "gpu=2". */
export function parseGeneric(text: string): { kind: string; count: number } {
  const [, kind, count] = /^([^=]+)=(\d+)$/.exec(text) ?? [];
  if (kind === undefined) throw new InvalidArgumentError('use KIND=NUMBER, e.g. gpu=1.');
  return { kind, count: Number(count) };
}

/** Of prune: scripts written for Docker say it. Only volumes hold what nothing else has. */
export const FORCE_FLAG = '-f, --force';
export const FORCE_HINT = 'as Docker has it; nothing is asked without it either';
