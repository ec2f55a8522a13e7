/** Tables for people, JSON for programs. */
import { unreachable } from '@swarmd/base';
import { InvalidArgumentError, type Command } from 'commander';

export type Format = 'table' | 'json' | 'quiet';

export function parseFormat(value: string): Format {
  if (value === 'table' || value === 'json') return value;
  throw new InvalidArgumentError('use "table" or "json".');
}

/** What every `ls` and `ps` understands. */
export function listing(command: Command): Command {
  return command
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .option('-q, --quiet', 'only what the first column says: ids or names', false);
}

export interface ListFlags {
  readonly format: Format;
  readonly quiet: boolean;
}

export function formatOf({ format, quiet }: ListFlags): Format {
  return quiet ? 'quiet' : format;
}

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string;
}

/** Left-aligned columns, three spaces apart, as Docker prints them. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => oneLine(column.value(row)))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return `${cells
    .map((line) =>
      line
        .map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}

/** Without line breaks and control characters, which errors of programs may hold. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}]+/gu, (gap) => (/^ +$/.test(gap) ? gap : ' '));
}

/** One JSON array with the API's field names; bytes as base64. */
export function json(objects: readonly unknown[], indent?: number): string {
  return `${JSON.stringify(
    objects,
    (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
    indent,
  )}\n`;
}

/** What `ls` prints. */
export function list<T>(format: Format, columns: readonly Column<T>[], rows: readonly T[]): string {
  switch (format) {
    case 'json':
      return json(rows);
    case 'table':
      return table(columns, rows);
    case 'quiet':
      // Behind the id there may be a mark.
      return rows.map((row) => `${columns[0]?.value(row).split(' ')[0] ?? ''}\n`).join('');
    default:
      return unreachable(format);
  }
}

const ID_SHORT_CHARS = 12;

/** As tables show ids: enough to tell objects apart, and to name them by. */
export function shortId(id: string): string {
  return id.slice(0, ID_SHORT_CHARS);
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** "5 seconds ago" and the like, for a time in milliseconds since the epoch. */
export function ago(then: number, now: number): string {
  const elapsed = Math.max(0, now - then);
  const [count, unit] =
    elapsed < MINUTE_MS
      ? [Math.floor(elapsed / 1000), 'second']
      : elapsed < HOUR_MS
        ? [Math.floor(elapsed / MINUTE_MS), 'minute']
        : elapsed < DAY_MS
          ? [Math.floor(elapsed / HOUR_MS), 'hour']
          : [Math.floor(elapsed / DAY_MS), 'day'];
  return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
}

export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1536 -> "1.5 KiB". */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}
