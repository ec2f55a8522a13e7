/** Mounts as people write them: Docker's --mount. */
import type { MountSpec } from '@swarmd/model';
import { InvalidArgumentError } from 'commander';

import { longForm, oneOf, parseBytes, parseFileMode, parseLabel, required } from './flags.ts';

const FIELDS = [
  'type',
  'source',
  'target',
  'readonly',
  'tmpfs-size',
  'tmpfs-mode',
  'bind-propagation',
  'bind-nonrecursive',
  'volume-subpath',
  'volume-nocopy',
  'volume-driver',
] as const;
/** May be said several times, each as key=value. */
const LISTS = ['volume-opt', 'volume-label'];
const PROPAGATIONS = ['', 'private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'] as const;
/** Other names of fields, as Docker has them. */
const ALIASES: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
};

/**
 * "type=bind,source=/a,target=/b,readonly", "type=volume,source=data,target=/d,volume-opt=type=nfs",
 * "type=tmpfs,target=/t,tmpfs-size=64M". Parts with a comma are quoted: \'type=volume,"volume-opt=o=a,b"\'.
 */
export function parseMount(text: string): MountSpec {
  const parts = splitQuoted(text);
  const isList = (part: string): boolean => LISTS.some((name) => part.startsWith(`${name}=`));
  const single = parts.filter((part) => !isList(part));
  const fields = new Map(
    [...longForm(single, [...FIELDS, ...Object.keys(ALIASES), ...LISTS])].map(([key, value]) => [
      ALIASES[key] ?? key,
      value,
    ]),
  );
  const pairs = (name: string): Record<string, string> =>
    Object.fromEntries(
      parts
        .filter((part) => part.startsWith(`${name}=`))
        .map((part) => parseLabel(part.slice(name.length + 1))),
    );
  const isOn = (name: string): boolean => fields.has(name) && parseSwitch(fields.get(name) ?? '');
  const mount: MountSpec = {
    kind: oneOf('bind', 'volume', 'tmpfs')(fields.get('type') ?? 'volume'),
    source: fields.get('source') ?? '',
    target: required(fields, 'target'),
    readOnly: isOn('readonly'),
    tmpfsSizeBytes: parseBytes(fields.get('tmpfs-size') ?? '0'),
    tmpfsMode: parseFileMode(fields.get('tmpfs-mode') ?? '1777'),
    propagation: oneOf(...PROPAGATIONS)(fields.get('bind-propagation') ?? ''),
    nonRecursive: isOn('bind-nonrecursive'),
    subpath: fields.get('volume-subpath') ?? '',
    noCopy: isOn('volume-nocopy'),
    driver: fields.get('volume-driver') ?? '',
    driverOptions: pairs('volume-opt'),
    labels: pairs('volume-label'),
  };
  check(mount);
  return mount;
}

function check(mount: { kind: string; source: string; target: string }): void {
  if (!mount.target.startsWith('/'))
    throw new InvalidArgumentError('target must be an absolute path.');
  if (mount.kind === 'bind' && !mount.source.startsWith('/'))
    throw new InvalidArgumentError('source of a bind mount must be an absolute path.');
  if (mount.kind === 'tmpfs' && mount.source !== '')
    throw new InvalidArgumentError('a tmpfs mount has no source.');
}

/** Comma-separated, a part in double quotes may hold commas. */
function splitQuoted(text: string): string[] {
  const parts = text.match(/(?:^|,)(?:"[^"]*"|[^,]*)/g) ?? [];
  return parts.map((part) => part.replace(/^,/, '').replace(/^"(.*)"$/, '$1'));
}

/** "readonly" alone means "readonly=true". */
function parseSwitch(text: string): boolean {
  return text === '' || ['true', '1'].includes(oneOf('true', 'false', '1', '0')(text));
}
