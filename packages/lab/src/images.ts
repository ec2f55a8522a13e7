/**
 * The demo's images, made from Debian packages: static busybox, and nginx on top of it. The result
 * is an OCI image layout on disk; `registry.ts` pushes it.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { gzipSync } from 'node:zlib';

import { run } from '@swarmd/base/system';

import { unpackPackages } from './debian.ts';
import { CACHE_DIR } from './layout.ts';

/** Changes whenever the content of the images does, so that a stale cache is not used. */
const RECIPE_VERSION = 4;
const NGINX_PACKAGES = [
  'nginx|nginx-light',
  'libc6',
  'libcrypt1',
  'libpcre2-8-0',
  'libssl3|libssl3t64',
  'zlib1g',
];

export interface BuiltImage {
  /** repository:tag */
  readonly reference: string;
  /** OCI image layout directory. */
  readonly layout: string;
}

interface Layer {
  readonly digest: string;
  readonly diffId: string;
  readonly size: number;
}

const sha256 = (data: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(data).digest('hex')}`;

/** Builds (or finds in the cache) busybox:1, nginx:1 and nginx:2, which says another greeting. */
export async function buildImages(): Promise<BuiltImage[]> {
  const home = `${CACHE_DIR}/images-v${RECIPE_VERSION}`;
  const references = ['busybox:1', 'nginx:1', 'nginx:2'];
  const images = references.map((reference) => ({
    reference,
    layout: `${home}/${reference.replace(':', '-')}`,
  }));
  if (images.every(({ layout }) => existsSync(`${layout}/index.json`))) return images;

  mkdirSync(CACHE_DIR, { recursive: true });
  const work = mkdtempSync(`${CACHE_DIR}/build-`);
  try {
    const blobs = `${work}/blobs/sha256`;
    mkdirSync(blobs, { recursive: true });
    const base = await addLayer(await busyboxRoot(`${work}/busybox`), blobs);
    const nginx = await addLayer(await nginxRoot(`${work}/nginx`), blobs);
    const out = `${work}/out`;
    writeImage(`${out}/busybox-1`, blobs, { layers: [base], cmd: ['sh'] });
    for (const version of ['1', '2']) {
      const greeting = await addLayer(
        nginxConfiguration(`${work}/conf-${version}`, version),
        blobs,
      );
      writeImage(`${out}/nginx-${version}`, blobs, {
        layers: [base, nginx, greeting],
        cmd: ['/usr/sbin/nginx', '-c', '/etc/nginx.conf', '-g', 'daemon off;'],
        port: '80/tcp',
      });
    }
    rmSync(home, { recursive: true, force: true });
    renameSync(out, home);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return images;
}

async function busyboxRoot(root: string): Promise<string> {
  const unpacked = `${root}.deb`;
  await unpackPackages(['busybox-static'], unpacked);
  for (const dir of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'run', 'var/www', 'root']) {
    mkdirSync(`${root}/${dir}`, { recursive: true });
  }
  chmodSync(`${root}/tmp`, 0o1777);
  const binary = [`${unpacked}/bin/busybox`, `${unpacked}/usr/bin/busybox`].find((file) =>
    existsSync(file),
  );
  copyFileSync(binary ?? `${unpacked}/bin/busybox`, `${root}/bin/busybox`);
  const { stdout } = await run(`${root}/bin/busybox`, ['--list']);
  for (const applet of stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')) {
    symlinkSync('busybox', `${root}/bin/${applet}`);
  }
  writeFileSync(
    `${root}/etc/passwd`,
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  );
  writeFileSync(`${root}/etc/group`, 'root:x:0:\nnogroup:x:65534:\n');
  return root;
}

async function nginxRoot(root: string): Promise<string> {
  const unpacked = `${root}.deb`;
  await unpackPackages(NGINX_PACKAGES, unpacked);
  for (const dir of ['usr/sbin', 'lib', 'usr/lib', 'lib64', 'var/lib/nginx', 'var/log/nginx']) {
    mkdirSync(`${root}/${dir}`, { recursive: true });
  }
  copyFileSync(`${unpacked}/usr/sbin/nginx`, `${root}/usr/sbin/nginx`);
  for (const dir of ['lib', 'lib64', 'usr/lib']) {
    if (!existsSync(`${unpacked}/${dir}`)) continue;
    cpSync(`${unpacked}/${dir}`, `${root}/${dir}`, { recursive: true, verbatimSymlinks: true });
  }
  // The loader and the C library live below usr/lib on newer releases, where /lib is a link.
  if (!existsSync(`${root}/lib64/ld-linux-x86-64.so.2`) && existsSync(`${root}/usr/lib64`)) {
    cpSync(`${root}/usr/lib64`, `${root}/lib64`, { recursive: true, verbatimSymlinks: true });
  }
  return root;
}

/** One small layer: the configuration, whose greeting tells the image's version. */
function nginxConfiguration(root: string, version: string): string {
  mkdirSync(`${root}/etc`, { recursive: true });
  writeFileSync(
    `${root}/etc/nginx.conf`,
    `user nobody nogroup;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 512; }
http {
  access_log /dev/stdout;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server {
    listen 80;
    location / { default_type text/plain; return 200 "hello from $hostname (v${version}), you are $remote_addr\\n"; }
  }
}
`,
  );
  return root;
}

async function addLayer(root: string, blobs: string): Promise<Layer> {
  const tar = `${root}.tar`;
  await run('tar', [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '-C',
    root,
    '-cf',
    tar,
    '.',
  ]);
  const plain = readFileSync(tar);
  const zipped = gzipSync(plain);
  return { digest: writeBlob(blobs, zipped), diffId: sha256(plain), size: zipped.byteLength };
}

function writeBlob(blobs: string, data: Uint8Array | string): string {
  const digest = sha256(data);
  writeFileSync(`${blobs}/${digest.slice('sha256:'.length)}`, data);
  return digest;
}

function writeImage(
  layout: string,
  blobs: string,
  image: { layers: Layer[]; cmd: string[]; port?: string },
): void {
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: {
      Cmd: image.cmd,
      Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
      ...(image.port === undefined ? {} : { ExposedPorts: { [image.port]: {} } }),
    },
    rootfs: { type: 'layers', diff_ids: image.layers.map((layer) => layer.diffId) },
  });
  const configDigest = writeBlob(blobs, config);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: configDigest,
      size: config.length,
    },
    layers: image.layers.map((layer) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: layer.digest,
      size: layer.size,
    })),
  });
  const manifestDigest = writeBlob(blobs, manifest);
  const wanted = [configDigest, manifestDigest, ...image.layers.map((layer) => layer.digest)];
  mkdirSync(`${layout}/blobs/sha256`, { recursive: true });
  for (const digest of wanted) {
    const name = digest.slice('sha256:'.length);
    copyFileSync(`${blobs}/${name}`, `${layout}/blobs/sha256/${name}`);
  }
  writeFileSync(`${layout}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    `${layout}/index.json`,
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: manifestDigest,
          size: manifest.length,
          platform: { architecture: 'amd64', os: 'linux' },
        },
      ],
    }),
  );
}
