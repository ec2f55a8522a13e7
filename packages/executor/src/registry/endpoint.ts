/** Where a registry's images are asked for: its mirrors, then itself, each with its own way to be reached. */
import { readFile } from 'node:fs/promises';

import { errorMessage, SwarmError } from '@swarmd/base';

/** What a node is told about one registry. */
export interface RegistrySettings {
  /** Speaks plain HTTP. Loopback addresses always may. */
  readonly insecure?: boolean | undefined;
  /** PEM file of the authority that its certificate is checked with. */
  readonly caFile?: string | undefined;
  /** http(s)://host[:port][/path], asked first and in this order; the registry itself is asked last. */
  readonly mirrors?: readonly string[] | undefined;
}

/** By host[:port] as references name it; "docker.io" for short names. */
export type Registries = Readonly<Record<string, RegistrySettings>>;

export interface Endpoint {
  /** host[:port], as credentials and messages name it. */
  readonly host: string;
  /** URL without a slash at its end, above /v2. */
  readonly base: string;
  readonly ca: string | undefined;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/;
/** What docker.io stands for. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';

/**
 * In the order they are to be asked. Files of authorities are read each time: a renewed one counts.
 * @throws SwarmError `failed-precondition` when such a file cannot be read.
 */
export async function endpointsOf(registry: string, all: Registries): Promise<readonly Endpoint[]> {
  const mirrors = (all[registry]?.mirrors ?? []).map(async (mirror) => {
    const { host } = new URL(mirror);
    return { host, base: mirror.replace(/\/+$/, ''), ca: await authorityOf(host, all) };
  });
  return Promise.all([...mirrors, originOf(registry, all)]);
}

/** The registry itself: what is pushed goes there. */
export async function originOf(registry: string, all: Registries): Promise<Endpoint> {
  const plain = LOOPBACK.test(registry) || all[registry]?.insecure === true;
  // Whoever gives an authority for a loopback address means TLS.
  const isSecure = !plain || all[registry]?.caFile !== undefined;
  const host = registry === 'docker.io' ? DOCKER_HUB_HOST : registry;
  return {
    host: registry,
    base: `${isSecure ? 'https' : 'http'}://${host}`,
    ca: await authorityOf(registry, all),
  };
}

async function authorityOf(host: string, all: Registries): Promise<string | undefined> {
  const path = all[host]?.caFile;
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new SwarmError(
      'failed-precondition',
      `the certificate authority of registry ${host} cannot be read: ${errorMessage(cause)}`,
      { cause },
    );
  }
}
