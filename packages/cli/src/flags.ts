/** Values of flags as people write them: sizes, durations, CPUs, ports, key=value pairs. */
import type { MountSpec, PortConfig } from '@swarmd/model';
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

/** "0.5" CPUs -> billionths of a CPU. */
export function parseCpus(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text))
    throw new InvalidArgumentError('use a number of CPUs such as 0.5 or 2.');
  return Math.round(Number(text) * 1e9);
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('use a whole number.');
  return Number(text);
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

/** "8080:80", "80", "53:53/udp" or "published=8080,target=80,protocol=tcp,mode=host". */
export function parsePort(text: string): PortConfig {
  return text.includes('=') ? parseLongPort(text) : parseShortPort(text);
}

function parseShortPort(text: string): PortConfig {
  const match = /^(?:(\d+):)?(\d+)(?:\/(tcp|udp))?$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError('use PUBLISHED:TARGET[/tcp|udp], e.g. 8080:80.');
  return {
    publishedPort: portNumber(match[1] ?? '0', 0),
    targetPort: portNumber(match[2] ?? '', 1),
    protocol: match[3] === 'udp' ? 'udp' : 'tcp',
    publishMode: 'ingress',
  };
}

function parseLongPort(text: string): PortConfig {
  const fields = new Map(text.split(',').map(parseLabel));
  for (const key of fields.keys()) {
    if (!['published', 'target', 'protocol', 'mode'].includes(key)) {
      throw new InvalidArgumentError(
        `unknown field "${key}": use published, target, protocol, mode.`,
      );
    }
  }
  return {
    publishedPort: portNumber(fields.get('published') ?? '0', 0),
    targetPort: portNumber(fields.get('target') ?? '', 1),
    protocol: oneOf('tcp', 'udp')(fields.get('protocol') ?? 'tcp'),
    publishMode: oneOf('ingress', 'host')(fields.get('mode') ?? 'ingress'),
  };
}

function portNumber(text: string, least: number): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < least || port > 65_535) {
    throw new InvalidArgumentError(`"${text}" is no port: use ${least} to 65535.`);
  }
  return port;
}

/** "type=bind,source=/a,target=/b,readonly", "type=volume,...", "type=tmpfs,target=/t,tmpfs-size=64M". */
export function parseMount(text: string): MountSpec {
  const fields = new Map(text.split(',').map(parseLabel));
  const take = (...names: string[]): string | undefined => {
    for (const name of names) {
      const value = fields.get(name);
      if (value !== undefined && fields.delete(name)) return value;
    }
    return undefined;
  };
  const readOnly = take('readonly', 'ro');
  const size = take('tmpfs-size');
  const mount: MountSpec = {
    kind: oneOf('bind', 'volume', 'tmpfs')(take('type') ?? 'volume'),
    source: take('source', 'src') ?? '',
    target: take('target', 'dst', 'destination') ?? '',
    readOnly: readOnly !== undefined && readOnly !== 'false',
    tmpfsSizeBytes: size === undefined ? 0 : parseBytes(size),
    tmpfsMode: Number.parseInt(take('tmpfs-mode') ?? '1777', 8),
  };
  const unknown = [...fields.keys()][0];
  if (unknown !== undefined)
    throw new InvalidArgumentError(`unknown field "${unknown}" of a mount.`);
  if (!mount.target.startsWith('/'))
    throw new InvalidArgumentError('target must be an absolute path.');
  return mount;
}
