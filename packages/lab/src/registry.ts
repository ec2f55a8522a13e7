/** The lab's registry: Debian's docker-registry on a host of its own, filled with the demo's images. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { unpackPackages } from './debian.ts';
import type { Host } from './host.ts';
import { waitUntil } from './condition.ts';
import { buildImages, type BuiltImage } from './images.ts';
import { CACHE_DIR, type Layout } from './layout.ts';

const START_TIMEOUT_MS = 60_000;
const PUSH_TIMEOUT_MS = 180_000;

/** Downloads and builds what labs are made from, for one that will have no way to do so. */
export async function fillCache(): Promise<void> {
  await buildImages();
  await registryBinary();
}

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
  await serve(host, { name: 'registry', endpoint: layout.registryEndpoint, binary, guard: '' });
  for (const image of images) await push(layout, host, image);
}

/** Starts the registry that wants to know who asks. It is empty, and ends with its host. */
export async function startGuardedRegistry(layout: Layout, host: Host): Promise<void> {
  const passwords = `${host.dir}/htpasswd`;
  writeFileSync(passwords, ANN);
  const guard = `auth: { htpasswd: { realm: lab, path: ${passwords} } }\n`;
  const binary = await registryBinary();
  await serve(host, { name: 'guarded', endpoint: layout.guardedEndpoint, binary, guard });
}

/** Of "ann", by bcrypt: "pass". */
const ANN = 'ann:$2y$05$abcdefghijklmnopqrstuuZFBUbfXoM8LFiPx8LYlO/sXZB/Cwk3K\n';

async function serve(
  host: Host,
  service: {
    readonly name: string;
    readonly endpoint: string;
    readonly binary: string;
    readonly guard: string;
  },
): Promise<void> {
  const { name, endpoint, binary, guard } = service;
  if ((await host.servicePid(name)) === undefined) {
    const storage = `${host.dir}/${name}-storage`;
    mkdirSync(storage, { recursive: true });
    const config = `${host.dir}/${name}.yml`;
    writeFileSync(
      config,
      `version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: ${storage} }, delete: { enabled: true } }
http: { addr: "${endpoint}" }
${guard}`,
    );
    await host.startService(name, [binary, 'serve', config]);
  }
  await waitUntil(
    { what: `the registry at ${endpoint}`, timeoutMs: START_TIMEOUT_MS },
    async () => {
      const line = `busybox wget -q -O /dev/null http://${endpoint}/v2/ 2>&1 || true`;
      const { stdout } = await host.exec(['sh', '-c', line]);
      // A guard's refusal is an answer, too.
      return stdout === '' || stdout.includes('401') ? true : undefined;
    },
  );
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
