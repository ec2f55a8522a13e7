/** The lab's registry: Debian's docker-registry on a host of its own, filled with the demo's images. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { unpackPackages } from './debian.ts';
import type { Host } from './host.ts';
import { waitUntil } from './condition.ts';
import type { BuiltImage } from './images.ts';
import { CACHE_DIR, type Layout } from './layout.ts';

const START_TIMEOUT_MS = 15_000;
const PUSH_TIMEOUT_MS = 60_000;

async function registryBinary(): Promise<string> {
  const root = `${CACHE_DIR}/docker-registry`;
  const binary = `${root}/usr/bin/docker-registry`;
  if (existsSync(binary)) return binary;
  const fresh = `${root}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await unpackPackages(['docker-registry'], fresh);
  rmSync(root, { recursive: true, force: true });
  renameSync(fresh, root);
  return binary;
}

/** Starts the registry unless it runs, and makes sure it has the images. */
export async function ensureRegistry(
  layout: Layout,
  host: Host,
  images: readonly BuiltImage[],
): Promise<void> {
  const binary = await registryBinary();
  await host.powerOn();
  if ((await host.servicePid('registry')) === undefined) {
    mkdirSync(`${host.dir}/storage`, { recursive: true });
    const config = `${host.dir}/registry.yml`;
    writeFileSync(
      config,
      `version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: ${host.dir}/storage }, delete: { enabled: true } }
http: { addr: "${layout.registryEndpoint}" }
`,
    );
    await host.startService('registry', [binary, 'serve', config]);
  }
  await waitUntil(
    { what: `the registry at ${layout.registryEndpoint}`, timeoutMs: START_TIMEOUT_MS },
    async () => {
      const { code } = await host.exec(
        ['busybox', 'wget', '-q', '-O', '/dev/null', `http://${layout.registryEndpoint}/v2/`],
        {
          okCodes: [0, 1],
        },
      );
      return code === 0 ? true : undefined;
    },
  );
  for (const image of images) await push(layout, host, image);
}

/** Pushes one image unless the registry has its tag already. */
async function push(layout: Layout, host: Host, image: BuiltImage): Promise<void> {
  const [repository, tag] = image.reference.split(':');
  const url = `http://${layout.registryEndpoint}/v2/${repository}/manifests/${tag}`;
  const known = await host.exec(
    [
      'busybox',
      'wget',
      '-q',
      '-O',
      '/dev/null',
      '--header',
      'Accept: application/vnd.oci.image.manifest.v1+json',
      url,
    ],
    { okCodes: [0, 1] },
  );
  if (known.code === 0) return;
  await host.exec(
    [
      'skopeo',
      '--insecure-policy',
      'copy',
      '--quiet',
      '--dest-tls-verify=false',
      `oci:${image.layout}`,
      `docker://${layout.registryEndpoint}/${image.reference}`,
    ],
    { timeoutMs: PUSH_TIMEOUT_MS },
  );
}
