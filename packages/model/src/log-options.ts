/**
 * What `--log-driver` and `--log-opt` say, checked and complete. Names, defaults and meanings are Docker's
 * (docs/logs.md has the table and what differs). Pure, and without zod: agents use it too.
 */
import { SwarmError, unreachable } from '@swarmd/base';

import { isTagTemplate, TAG_FIELDS } from './log-tag.ts';
import { parseSyslog, SYSLOG_OPTIONS, type SyslogTarget } from './syslog-options.ts';

export const LOG_DRIVERS = ['local', 'json-file', 'journald', 'syslog', 'none'] as const;
export type LogDriver = (typeof LOG_DRIVERS)[number];

export interface LogFileBounds {
  /** Of one file before a new one is begun; MAX_SAFE_INTEGER: never. */
  readonly maxBytes: number;
  /** Files besides the newest. */
  readonly kept: number;
  readonly isCompressed: boolean;
}

/** Which of a container's labels and variables go with its lines. */
export interface LogAttributes {
  readonly labels: readonly string[];
  readonly labelsRegex: string;
  readonly env: readonly string[];
  readonly envRegex: string;
  /** A template; empty: the driver's default. */
  readonly tag: string;
}

export interface LogPlan {
  readonly driver: LogDriver;
  /** The files that the container's output goes to first, whatever becomes of it then. */
  readonly spool: LogFileBounds;
  /** False: `logs` is refused. */
  readonly isReadable: boolean;
  readonly attributes: LogAttributes;
  /** What swarmd writes from the spool: json-file's files, and local's where they are small. */
  readonly files?: LogFileBounds | undefined;
  readonly syslog?: SyslogTarget | undefined;
}

const MIB = 1024 ** 2;
/** Every look at a log looks for each of its files. */
const FILES_MAX = 100;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: MIB, g: 1024 * MIB };

const FILE_OPTIONS = ['max-size', 'max-file', 'compress'];
const ATTRIBUTE_OPTIONS = ['labels', 'labels-regex', 'env', 'env-regex', 'tag'];
const CACHE_OPTIONS = ['cache-disabled', 'cache-max-size', 'cache-max-file', 'cache-compress'];
const OPTIONS: Readonly<Record<LogDriver, readonly string[]>> = {
  local: [...FILE_OPTIONS, ...ATTRIBUTE_OPTIONS],
  'json-file': [...FILE_OPTIONS, ...ATTRIBUTE_OPTIONS],
  journald: [...ATTRIBUTE_OPTIONS, ...CACHE_OPTIONS],
  syslog: [...SYSLOG_OPTIONS, ...ATTRIBUTE_OPTIONS, ...CACHE_OPTIONS],
  none: [],
};

/**
 * What waits to be written to other files is there only for a moment: plain, no larger than need be while it is
 * quiet, and enough of it for a flood.
 */
const WAITING_BYTES = 28 * MIB;
const WAITING_FILE_MIN_BYTES = MIB / 2;
const WAITING_FILE_MAX_BYTES = 4 * MIB;
const LOCAL: LogFileBounds = { maxBytes: 10 * MIB, kept: 2, isCompressed: true };
const JSON_FILES: LogFileBounds = { maxBytes: 10 * MIB, kept: 2, isCompressed: false };

/**
 * @param driver Empty: `local`, which is what nodes use unless they are configured otherwise.
 * @throws SwarmError `invalid-argument` naming the option, and what the driver would understand.
 */
export function logPlan(driver: string, options: Readonly<Record<string, string>>): LogPlan {
  const name = (driver === '' ? 'local' : driver) as LogDriver;
  const known = OPTIONS[name] as readonly string[] | undefined;
  if (known === undefined) {
    throw invalid(`there is no log driver "${driver}"; there are ${LOG_DRIVERS.join(', ')}`);
  }
  const given = new LogOptions(name, options);
  given.checkMode();
  given.checkKnown(known);
  const plan = {
    driver: name,
    attributes: given.attributes(),
    spool: LOCAL,
    isReadable: name !== 'none',
  };
  switch (name) {
    case 'local':
      return { ...plan, ...localFiles(given.files('', LOCAL)) };
    case 'json-file':
      return { ...plan, ...fromSpool(given.files('', JSON_FILES)) };
    case 'journald':
      return { ...plan, ...given.cache() };
    case 'syslog':
      return { ...plan, ...given.cache(), syslog: given.syslog() };
    case 'none':
      return plan;
    default:
      return unreachable(name);
  }
}

/**
 * Nobody looks at a log that conmon writes at the very moment when it is full. What it then is over its bound is
 * little beside ten megabytes, but not beside ten kilobytes: small files are written by us.
 */
function localFiles(bounds: LogFileBounds): Pick<LogPlan, 'spool' | 'files'> {
  return bounds.maxBytes < WAITING_FILE_MAX_BYTES ? fromSpool(bounds) : { spool: bounds };
}

function fromSpool(files: LogFileBounds): Pick<LogPlan, 'spool' | 'files'> {
  const wanted = Math.max(files.maxBytes, WAITING_FILE_MIN_BYTES);
  const maxBytes = Math.min(wanted, WAITING_FILE_MAX_BYTES);
  const kept = Math.floor(WAITING_BYTES / maxBytes);
  return { spool: { maxBytes, kept, isCompressed: false }, files };
}

class LogOptions {
  readonly #driver: LogDriver;
  readonly #options: Readonly<Record<string, string>>;

  constructor(driver: LogDriver, options: Readonly<Record<string, string>>) {
    this.#driver = driver;
    this.#options = options;
  }

  checkKnown(known: readonly string[]): void {
    for (const name of Object.keys(this.#options)) {
      if (known.includes(name) || name === 'mode') continue;
      const has = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`;
      throw this.#wrong(name, `there is no such option; ${has}`);
    }
  }

  /** A container never waits for its log: that is Docker's "non-blocking". */
  checkMode(): void {
    const mode = this.#options['mode'] ?? 'non-blocking';
    if (mode === 'non-blocking') return;
    throw this.#wrong('mode', 'the only mode is non-blocking: a container never waits for its log');
  }

  attributes(): LogAttributes {
    const tag = this.#options['tag'] ?? '';
    if (!isTagTemplate(tag)) {
      const fields = TAG_FIELDS.map((field) => `{{.${field}}}`).join(', ');
      throw this.#wrong('tag', `write text with ${fields}`);
    }
    return {
      labels: this.#list('labels'),
      labelsRegex: this.#regex('labels-regex'),
      env: this.#list('env'),
      envRegex: this.#regex('env-regex'),
      tag,
    };
  }

  files(prefix: string, defaults: LogFileBounds): LogFileBounds {
    const files = this.#count(`${prefix}max-file`) ?? defaults.kept + 1;
    return {
      maxBytes: this.#size(`${prefix}max-size`) ?? defaults.maxBytes,
      kept: files - 1,
      isCompressed: this.#flag(`${prefix}compress`) ?? defaults.isCompressed,
    };
  }

  cache(): Pick<LogPlan, 'spool' | 'isReadable'> {
    return {
      spool: this.files('cache-', LOCAL),
      isReadable: this.#flag('cache-disabled') !== true,
    };
  }

  syslog(): SyslogTarget {
    return parseSyslog(this.#options, (name, why) => this.#wrong(name, why));
  }

  #list(name: string): string[] {
    const names = (this.#options[name] ?? '').split(',').map((one) => one.trim());
    return names.filter((one) => one !== '');
  }

  #regex(name: string): string {
    const text = this.#options[name] ?? '';
    try {
      return new RegExp(text).source === '(?:)' ? '' : text;
    } catch (error) {
      if (error instanceof SyntaxError) throw this.#wrong(name, error.message);
      throw error;
    }
  }

  #size(name: string): number | undefined {
    const text = this.#options[name];
    if (text === undefined) return undefined;
    if (text === '-1') return Number.MAX_SAFE_INTEGER;
    const match = /^(\d+)([kmg]?)b?$/i.exec(text);
    const bytes = Number(match?.[1] ?? 0) * (UNITS[(match?.[2] ?? '').toLowerCase()] ?? 1);
    if (bytes > 0) return bytes;
    throw this.#wrong(name, 'write bytes, or a number with k, m or g, such as 10m');
  }

  #count(name: string): number | undefined {
    const text = this.#options[name];
    if (text === undefined) return undefined;
    const count = /^\d+$/.test(text) ? Number(text) : 0;
    if (count >= 1 && count <= FILES_MAX) return count;
    throw this.#wrong(name, `write a number of files from 1 to ${FILES_MAX}`);
  }

  #flag(name: string): boolean | undefined {
    const text = this.#options[name];
    if (text === undefined) return undefined;
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    throw this.#wrong(name, 'write true or false');
  }

  #wrong(name: string, why: string): SwarmError {
    return invalid(`log driver ${this.#driver}: ${name}=${this.#options[name]}: ${why}`);
  }
}

function invalid(message: string): SwarmError {
  return new SwarmError('invalid-argument', message);
}
