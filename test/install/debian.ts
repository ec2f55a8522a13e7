/** A minimal Debian of this machine's release, made once and kept as an archive. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

const MAKE_ROOT = fileURLToPath(new URL('./make-root.sh', import.meta.url));
/** Part of the archive's name: raise it when make-root.sh changes. */
const RECIPE_VERSION = 1;
const MAKE_TIMEOUT_MS = 600_000;

/** @returns the archive's file; it is made when `folder` does not have it. */
export async function debianArchive(folder: string): Promise<string> {
  const codename = await codenameOfMachine();
  const archive = `${folder}/root-${codename}-v${RECIPE_VERSION}.tar`;
  if (existsSync(archive)) return archive;
  const sources = await sourcesOfMachine(codename);
  await run('unshare', ['--mount', '--propagation', 'private', MAKE_ROOT, codename, archive], {
    input: sources.join('\n'),
    timeoutMs: MAKE_TIMEOUT_MS,
  });
  return archive;
}

async function codenameOfMachine(): Promise<string> {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (codename === undefined)
    throw new SwarmError('failed-precondition', '/etc/os-release names no release of Debian');
  return codename;
}

/** Debian's own archives as this machine's apt is configured, the release itself first. */
async function sourcesOfMachine(codename: string): Promise<string[]> {
  const format = '$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)';
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ]);
  const targets = [...new Set(stdout.split('\n'))].filter((line) => line.startsWith('Debian '));
  const release = (line: string): boolean => line.startsWith(`Debian ${codename} `);
  const lines = [...targets.filter(release), ...targets.filter((line) => !release(line))].map(
    (line) => line.slice(line.indexOf(' deb ') + 1),
  );
  if (!targets.some(release))
    throw new SwarmError(
      'failed-precondition',
      `apt knows no archive of Debian ${codename}; look into /etc/apt and run "apt-get update"`,
    );
  return lines;
}
