/**
 * Credentials for registries on the user's own machine: a file of ours (0600), and what Docker's tools
 * keep (config.json with its helper programs), which is only read.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { errorMessage, SwarmError } from '@swarmd/base';
import {
  formatRegistryAuth,
  parseRegistryAuth,
  type RegistryAuth,
  type RegistryCredentials,
} from '@swarmd/model';

export interface Credentials {
  /** Ours first, then Docker's. */
  readonly find: (host: string) => RegistryCredentials | undefined;
  /** @returns the path of the file that keeps them. */
  readonly store: (host: string, credentials: RegistryCredentials) => string;
  /** @returns false when there were none of ours. */
  readonly erase: (host: string) => boolean;
}

/** @param environment HOME, XDG_CONFIG_HOME and DOCKER_CONFIG as they are for the user's shell. */
export function fileCredentials(
  environment: Readonly<Record<string, string | undefined>>,
): Credentials {
  const home = environment['HOME'] || '/root';
  const configHome = environment['XDG_CONFIG_HOME'] || join(home, '.config');
  const own = join(configHome, 'swarmctl', 'registries.json');
  const docker = join(environment['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
  return {
    find: (host) => readAuth(own)[host] ?? fromDocker(docker, host),
    store: (host, credentials) => {
      writeAuth(own, { ...readAuth(own), [host]: credentials });
      return own;
    },
    erase: (host) => {
      const { [host]: known, ...others } = readAuth(own);
      if (known !== undefined) writeAuth(own, others);
      return known !== undefined;
    },
  };
}

function readAuth(path: string): RegistryAuth {
  const bytes = readIfThere(path);
  if (bytes === undefined) return {};
  const auth = parseRegistryAuth(bytes);
  if (!(auth instanceof Error)) return auth;
  throw new SwarmError('failed-precondition', `${path}: ${auth.message}; repair or remove it`);
}

function writeAuth(path: string, auth: RegistryAuth): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, formatRegistryAuth(auth), { mode: 0o600 });
  // A file that was left there keeps its mode.
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** A program of Docker's that keeps credentials wins over the file, as with Docker. */
function fromDocker(path: string, host: string): RegistryCredentials | undefined {
  const bytes = readIfThere(path);
  if (bytes === undefined) return undefined;
  const helper = helperFor(bytes, host);
  if (helper !== undefined) return askHelper(helper, host);
  const auth = parseRegistryAuth(bytes);
  return auth instanceof Error ? undefined : auth[host];
}

function helperFor(config: Uint8Array, host: string): string | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(config));
  } catch {
    // Not our file: whoever wrote it will be told by its own tools.
    return undefined;
  }
  const { credHelpers, credsStore } = json as {
    credHelpers?: Readonly<Record<string, string>>;
    credsStore?: string;
  };
  return credHelpers?.[serverName(host)] ?? credsStore;
}

function serverName(host: string): string {
  return host === 'docker.io' ? 'https://index.docker.io/v1/' : host;
}

/** Protocol: github.com/docker/docker-credential-helpers. */
function askHelper(helper: string, host: string): RegistryCredentials | undefined {
  const program = `docker-credential-${helper}`;
  let answer: { Username?: string; Secret?: string };
  try {
    const stdio = ['pipe', 'pipe', 'ignore'] as const;
    const options = { input: serverName(host), stdio: [...stdio], timeout: HELPER_TIMEOUT_MS };
    answer = JSON.parse(execFileSync(program, ['get'], options).toString()) as typeof answer;
  } catch (cause) {
    // It exits with 1 when it has none.
    if (cause instanceof Error && 'status' in cause && cause.status === 1) return undefined;
    throw new SwarmError('failed-precondition', `${program}: ${errorMessage(cause)}`, { cause });
  }
  const { Username: username = '', Secret: secret = '' } = answer;
  return username === '<token>'
    ? { username: '', password: '', identityToken: secret }
    : { username, password: secret, identityToken: '' };
}

/** A helper may ask the user for a passphrase. */
const HELPER_TIMEOUT_MS = 60_000;

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new SwarmError('failed-precondition', errorMessage(error), { cause: error });
  }
}
