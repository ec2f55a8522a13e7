/** What a container's first process is: program, environment, signal. Pure. */
import { constants } from 'node:os';

import { SwarmError } from '@swarmd/base';
import type { ContainerSpec } from '@swarmd/model';

import type { Rlimit } from '../oci/spec.ts';
import type { ImageConfig } from '../image/manifest.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Where the init program is to be seen in a container that asks for one. */
export const INIT_PATH = '/dev/init';

/**
 * Entrypoint and arguments: `command` replaces the image's entrypoint and thereby also its command,
 * `args` replaces the image's command (Docker's rules).
 * @throws SwarmError `failed-precondition` when nothing is left to run.
 */
export function processArguments(spec: ContainerSpec, image: ImageConfig): readonly string[] {
  const entrypoint = spec.command.length > 0 ? spec.command : image.entrypoint;
  const inherited = spec.command.length > 0 ? [] : image.command;
  const argv = [...entrypoint, ...(spec.args.length > 0 ? spec.args : inherited)];
  if (argv.length === 0) {
    throw new SwarmError(
      'failed-precondition',
      `image ${spec.image} names no program to run; give the service a command`,
    );
  }
  return spec.init ? [INIT_PATH, '--', ...argv] : argv;
}

/** Defaults, the image's, the spec's: later ones win; a bare NAME of the spec removes. */
export function environment(
  spec: ContainerSpec,
  image: ImageConfig,
  known: { readonly hostname: string; readonly home: string },
): readonly string[] {
  const variables = new Map([
    ['PATH', PATH],
    ['HOSTNAME', known.hostname],
    ['HOME', known.home],
  ]);
  if (spec.tty) variables.set('TERM', 'xterm');
  for (const line of [...image.env, ...spec.env]) {
    const equals = line.indexOf('=');
    if (equals < 0) variables.delete(line);
    else variables.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** -1 is no limit. JSON has no number for RLIM_INFINITY that survives; this one is never reached. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** `process.rlimits`. */
export function rlimits(ulimits: ContainerSpec['ulimits']): readonly Rlimit[] {
  const value = (limit: number): number => (limit === -1 ? UNLIMITED : limit);
  return ulimits.map(({ name, soft, hard }) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: value(soft),
    hard: value(hard),
  }));
}

/**
 * The spec's stop signal, else the image's, else SIGTERM.
 * @throws SwarmError `invalid-argument`.
 */
export function stopSignal(spec: ContainerSpec, image: ImageConfig): NodeJS.Signals {
  return signalNamed(spec.stopSignal || image.stopSignal || 'SIGTERM');
}

/**
 * A signal by its name with or without "SIG", or by its number.
 * @throws SwarmError `invalid-argument`.
 */
export function signalNamed(wanted: string): NodeJS.Signals {
  const upper = wanted.toUpperCase();
  const full = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const found = Object.entries(constants.signals).find(
    ([name, number]) => name === full || String(number) === wanted,
  );
  if (found === undefined) {
    throw new SwarmError(
      'invalid-argument',
      `"${wanted}" is not a signal; use a name such as SIGTERM`,
    );
  }
  return found[0] as NodeJS.Signals;
}
