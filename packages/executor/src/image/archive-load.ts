/**
 * Archives of images become images of the store: OCI layouts, what docker, podman and skopeo save, and
 * plain root file systems. Everything is checked as if a registry had sent it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, open, readFile, rename, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { SwarmError } from '@swarmd/base';
import { z } from 'zod';

import { DOCUMENT_MAX_BYTES } from '../limits.ts';
import type { ArchiveFiles } from './archive-reader.ts';
import {
  choosePlatform,
  layerCompression,
  parseAs,
  parseDocument,
  parseImageConfig,
  type Compression,
  type Descriptor,
  type ImageManifest,
  type Platform,
} from './manifest.ts';
import { canonicalReference, parseReference } from './reference.ts';

/** One image of an archive, everything of it lying in files. */
export interface LoadedImage {
  /** Canonical; empty for an image that the archive gives no name. */
  readonly references: readonly string[];
  readonly manifest: Buffer;
  readonly config: Buffer;
  readonly diffIds: readonly string[];
  readonly layers: readonly LoadedLayer[];
}

export interface LoadedLayer {
  readonly path: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly diffId: string;
  readonly compression: Compression;
}

const OCI = 'application/vnd.oci.image';
const LAYER_TYPE: Readonly<Record<Compression, string>> = {
  none: `${OCI}.layer.v1.tar`,
  gzip: `${OCI}.layer.v1.tar+gzip`,
  zstd: `${OCI}.layer.v1.tar+zstd`,
};
const ociIndex = z.object({
  manifests: z.array(z.looseObject({ annotations: z.record(z.string(), z.string()).optional() })),
});
const dockerManifest = z.array(
  z.object({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()),
  }),
);

/** @throws SwarmError `data-loss` naming what is missing or wrong. */
export async function imagesOf(
  files: ArchiveFiles,
  platform: Platform,
): Promise<readonly LoadedImage[]> {
  const images = await listedImages(files, platform);
  if (images.length === 0) throw wrong('it lists no image');
  return images;
}

async function listedImages(
  files: ArchiveFiles,
  platform: Platform,
): Promise<readonly LoadedImage[]> {
  // Docker's list has full names; an OCI layout's often only tags.
  if (files.has('manifest.json')) return dockerImages(files);
  if (files.has('index.json')) return ociImages(files, platform);
  throw new SwarmError(
    'data-loss',
    'this is no archive of images: it has neither manifest.json nor index.json; a root file system is imported (image import)',
  );
}

async function dockerImages(files: ArchiveFiles): Promise<readonly LoadedImage[]> {
  const list = parseAs(dockerManifest, await read(files, 'manifest.json'), 'manifest.json');
  const images: LoadedImage[] = [];
  for (const image of list) images.push(await dockerImage(files, image));
  return images;
}

async function dockerImage(
  files: ArchiveFiles,
  { Config, RepoTags, Layers }: z.infer<typeof dockerManifest>[number],
): Promise<LoadedImage> {
  const config = await read(files, Config);
  const { diffIds } = parseImageConfig(config, Config);
  if (diffIds.length !== Layers.length) throw wrong(`${Config} has another number of layers`);
  const layers: LoadedLayer[] = [];
  for (const [index, name] of Layers.entries()) {
    layers.push(await layerFile(pathOf(files, name), diffIds[index] ?? ''));
  }
  const references = (RepoTags ?? []).map((tag) => canonicalReference(parseReference(tag)));
  return { references, config, diffIds, layers, manifest: manifestFor(config, layers) };
}

async function ociImages(files: ArchiveFiles, platform: Platform): Promise<readonly LoadedImage[]> {
  const bytes = await read(files, 'index.json');
  const index = parseDocument(bytes, 'index.json');
  if (index.kind !== 'index') throw wrong('index.json is no index');
  const { manifests } = parseAs(ociIndex, bytes, 'index.json');
  return Promise.all(
    index.manifests.map(async (descriptor, at) => {
      const { manifest, document } = await ociManifest(files, descriptor, platform);
      const config = await blob(files, document.config.digest);
      const { diffIds } = parseImageConfig(config, document.config.digest);
      if (diffIds.length !== document.layers.length)
        throw wrong(`${document.config.digest} has another number of layers`);
      const layers = document.layers.map((layer, number) => ({
        path: pathOf(files, blobName(layer.digest)),
        digest: layer.digest,
        sizeBytes: layer.size,
        diffId: diffIds[number] ?? '',
        compression: layerCompression(layer, 'the archive'),
      }));
      const references = ociNames(manifests[at]?.annotations ?? {});
      return { references, manifest, config, diffIds, layers };
    }),
  );
}

async function ociManifest(
  files: ArchiveFiles,
  descriptor: Descriptor,
  platform: Platform,
): Promise<{ manifest: Buffer; document: ImageManifest }> {
  const bytes = await blob(files, descriptor.digest);
  const document = parseDocument(bytes, descriptor.digest);
  if (document.kind === 'manifest') return { manifest: bytes, document: document.manifest };
  const chosen = choosePlatform(document.manifests, platform, descriptor.digest);
  const manifest = await blob(files, chosen.digest);
  const inner = parseDocument(manifest, chosen.digest);
  if (inner.kind === 'index') throw wrong('it has an index within an index');
  return { manifest, document: inner.manifest };
}

/** A full name where somebody wrote one; a tag alone names nothing. */
function ociNames(annotations: Readonly<Record<string, string>>): readonly string[] {
  const full = annotations['io.containerd.image.name'];
  const ref = annotations['org.opencontainers.image.ref.name'];
  const name = full ?? (ref !== undefined && /[/:]/.test(ref) ? ref : undefined);
  return name === undefined ? [] : [canonicalReference(parseReference(name))];
}

/** Docker's archives do not say how a layer is packed, nor what its digest is. */
export async function layerFile(path: string, diffId: string): Promise<LoadedLayer> {
  const compression = await compressionOf(path);
  const { size: sizeBytes } = await stat(path);
  const digest = await digestOfFile(path);
  return { path, digest, sizeBytes, diffId, compression };
}

/** The digest of the plain tar of a file that may be compressed. */
export async function diffIdOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const compression = await compressionOf(path);
  const source = createReadStream(path);
  if (compression === 'none') await pipeline(source, hash);
  else {
    const plain = compression === 'gzip' ? createGunzip() : createZstdDecompress();
    await pipeline(source, plain, hash).catch((cause: unknown) => {
      const isDamaged = cause instanceof Error && /^Z(STD)?_/.test(codeOf(cause));
      throw isDamaged ? wrong(`it cannot be unpacked: ${cause.message}`) : cause;
    });
  }
  return `sha256:${hash.digest('hex')}`;
}

export function manifestFor(config: Buffer, layers: readonly LoadedLayer[]): Buffer {
  const describe = ({ digest, sizeBytes, compression }: LoadedLayer): object => ({
    mediaType: LAYER_TYPE[compression],
    digest,
    size: sizeBytes,
  });
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: {
        mediaType: `${OCI}.config.v1+json`,
        digest: digestOfBytes(config),
        size: config.length,
      },
      layers: layers.map(describe),
    }),
  );
}

export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Into its place in the store; across file systems, too. Several images may share the file. */
export async function placeBlob(path: string, target: string): Promise<void> {
  const temporary = `${target}.tmp`;
  await copyFile(path, temporary);
  await rename(temporary, target);
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest('hex')}`;
}

async function compressionOf(path: string): Promise<Compression> {
  await using file = await open(path, 'r');
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  if (buffer.readUInt16BE(0) === 0x1f8b) return 'gzip';
  return buffer.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none';
}

async function blob(files: ArchiveFiles, digest: string): Promise<Buffer> {
  const bytes = await read(files, blobName(digest));
  if (digestOfBytes(bytes) === digest) return bytes;
  throw wrong(`${digest} is not what its name says`);
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function read(files: ArchiveFiles, name: string): Promise<Buffer> {
  const path = pathOf(files, name);
  if ((await stat(path)).size > DOCUMENT_MAX_BYTES) throw wrong(`${name} is too large`);
  return readFile(path);
}

function pathOf(files: ArchiveFiles, name: string): string {
  const path = files.get(name);
  if (path === undefined) throw wrong(`it has no ${name}`);
  return path;
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : '';
}

function wrong(why: string): SwarmError {
  return new SwarmError('data-loss', `the archive of images is damaged: ${why}`);
}
