/**
 * Programs and libraries from Debian packages, unpacked beside the lab instead of installed: nothing
 * of them starts as a service of the machine, and nothing is left to purge.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';

import { SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { CACHE_DIR } from './layout.ts';

const DOWNLOAD_TIMEOUT_MS = 180_000;

/** Unpacks Debian packages into `root`. A name may list alternatives: "libssl3|libssl3t64". */
export async function unpackPackages(names: readonly string[], root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  for (const alternatives of names)
    await run('dpkg-deb', ['-x', await download(alternatives), root]);
}

async function download(alternatives: string): Promise<string> {
  const dir = `${CACHE_DIR}/deb`;
  mkdirSync(dir, { recursive: true });
  for (const name of alternatives.split('|')) {
    const known = archiveOf(dir, name);
    if (known !== undefined) return known;
    const { code } = await run(
      'apt-get',
      ['-qq', '-o', 'APT::Sandbox::User=root', 'download', name],
      {
        cwd: dir,
        timeoutMs: DOWNLOAD_TIMEOUT_MS,
        okCodes: [0, 100],
      },
    );
    const fresh = archiveOf(dir, name);
    if (code === 0 && fresh !== undefined) return fresh;
  }
  throw new SwarmError(
    'unavailable',
    `Debian has no package ${alternatives}, or its package lists are missing: run "apt-get update" and try again`,
  );
}

function archiveOf(dir: string, name: string): string | undefined {
  const file = readdirSync(dir).find(
    (entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'),
  );
  return file === undefined ? undefined : `${dir}/${file}`;
}

/** Forgets everything downloaded and built. */
export function removeCache(): void {
  rmSync(CACHE_DIR, { recursive: true, force: true });
}
