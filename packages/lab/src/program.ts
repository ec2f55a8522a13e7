/**
 * swarmd and swarmctl as the hosts of a lab run them: a copy of the bundles, so that a rebuild of the
 * checkout does not pull the code away from under a running cluster.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';

import { SwarmError } from '@swarmd/base';

import type { Layout } from './layout.ts';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const NODE = `${CHECKOUT}/node_modules/node/bin/node`;
const PROGRAMS = ['swarmd', 'swarmctl'];

/** Folder for PATH on the hosts. */
export function programPath(layout: Layout): string {
  return `${layout.stateDir}/program/bin`;
}

/** Copies the bundles unless the lab has them. */
export function installProgram(layout: Layout): void {
  if (existsSync(programPath(layout))) return;
  if (!existsSync(`${CHECKOUT}/dist/swarmd.mjs`)) {
    throw new SwarmError(
      'failed-precondition',
      'swarmd is not built: run scripts/prepare (or npm run build)',
    );
  }
  const home = `${layout.stateDir}/program`;
  const fresh = `${home}.new`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(`${CHECKOUT}/dist`, fresh, { recursive: true });
  mkdirSync(`${fresh}/bin`);
  for (const program of PROGRAMS) {
    const launcher = `${fresh}/bin/${program}`;
    writeFileSync(launcher, `#!/bin/sh\nexec ${NODE} ${home}/${program}.mjs "$@"\n`);
    chmodSync(launcher, 0o755);
  }
  rmSync(home, { recursive: true, force: true });
  renameSync(fresh, home);
}

/** Forgets the copy, so that the next `up` takes the newest bundles. */
export function uninstallProgram(layout: Layout): void {
  rmSync(`${layout.stateDir}/program`, { recursive: true, force: true });
}
