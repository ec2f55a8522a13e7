/** What a container's first process is: program, environment, signal. Pure. */
import { constants } from 'node:os';

import { SwarmError } from '@swarmd/base';
import type { ContainerSpec } from '@swarmd/model';

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

/**
 * The spec's stop signal, else the image's, else SIGTERM. Names with or without "SIG", or numbers.
 * @throws SwarmError `invalid-argument`.
 */
export function stopSignal(spec: ContainerSpec, image: ImageConfig): NodeJS.Signals {
  const wanted = spec.stopSignal || image.stopSignal || 'SIGTERM';
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
