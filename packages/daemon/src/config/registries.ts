/** What the configuration file and the flags say of registries, as one table. */
import { SwarmError } from '@swarmd/base';
import type { Registries, RegistrySettings } from '@swarmd/executor';

import type { GivenSettings } from './settings.ts';

/** Mirrors add up, the file's first; of authorities the flag counts. @throws SwarmError `invalid-argument` */
export function registriesOf(file: GivenSettings, flags: GivenSettings): Registries {
  const table = new Map<string, RegistrySettings>(Object.entries(file.registries ?? {}));
  const change = (host: string, with_: (old: RegistrySettings) => RegistrySettings): void => {
    table.set(host, with_(table.get(host) ?? {}));
  };
  for (const host of [...(file.insecureRegistries ?? []), ...(flags.insecureRegistries ?? [])]) {
    change(host, (old) => ({ ...old, insecure: true }));
  }
  for (const text of flags.registryMirrors ?? []) {
    const [host, url] = pair('--registry-mirror', text);
    change(host, (old) => ({ ...old, mirrors: [...(old.mirrors ?? []), url] }));
  }
  for (const text of flags.registryCas ?? []) {
    const [host, caFile] = pair('--registry-ca', text);
    change(host, (old) => ({ ...old, caFile }));
  }
  for (const [host, { mirrors = [] }] of table) mirrors.forEach((url) => checkMirror(host, url));
  return Object.fromEntries(table);
}

function pair(flag: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new SwarmError(
    'invalid-argument',
    `${flag} "${text}" must be REGISTRY=VALUE, with the registry as images name it (docker.io for short names)`,
  );
}

function checkMirror(registry: string, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isHttp && url.username === '' && url.search === '' && url.hash === '') return;
  throw new SwarmError(
    'invalid-argument',
    `mirror "${text}" of registry ${registry} must be http(s)://host[:port][/path]`,
  );
}
