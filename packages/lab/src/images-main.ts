/** scripts/images HOST:PORT: builds the demo's images and pushes them to a plain-HTTP registry. */
import { errorMessage } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { buildImages } from './images.ts';

const PUSH_TIMEOUT_MS = 120_000;

try {
  const [registry] = process.argv.slice(2);
  if (registry === undefined) throw new Error('usage: scripts/images HOST:PORT');
  for (const { layout, reference } of await buildImages()) {
    const target = `docker://${registry}/${reference}`;
    await run(
      'skopeo',
      ['--insecure-policy', 'copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}`, target],
      {
        timeoutMs: PUSH_TIMEOUT_MS,
      },
    );
    process.stdout.write(`${registry}/${reference}\n`);
  }
} catch (error) {
  process.stderr.write(`images: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
