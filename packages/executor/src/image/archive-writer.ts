/**
 * Images as one tar archive that is both an OCI layout (index.json) and what Docker saves
 * (manifest.json): docker, podman, skopeo and we ourselves load it. Formats: OCI image-layout.md,
 * moby image/spec.
 */
import { createReadStream } from 'node:fs';

import { encodeEntry, padding } from '../unpack/tar-header.ts';
import { requireBlobs, type ImageDocuments } from './stored-images.ts';
import type { ImageStore } from './store.ts';

const END = Buffer.alloc(1024);

/** @throws SwarmError `failed-precondition` when a layer's blob is not kept. */
export async function* writeArchive(
  store: ImageStore,
  images: readonly ImageDocuments[],
): AsyncGenerator<Uint8Array> {
  for (const image of images) await requireBlobs(store, image);
  const documents = new Map<string, Buffer>();
  const blobs = new Map<string, number>();
  for (const { stored, manifest, config, layers } of images) {
    documents.set(stored.manifest, manifest);
    documents.set(stored.config, config);
    for (const { digest, size } of layers) blobs.set(digest, size);
  }
  yield* entry('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  for (const [digest, bytes] of documents) yield* entry(pathOf(digest), bytes);
  for (const [digest, size] of blobs) {
    yield header(pathOf(digest), size);
    yield* createReadStream(store.blobs.path(digest)) as AsyncIterable<Uint8Array>;
    yield Buffer.alloc(padding(size));
  }
  yield* entry('index.json', JSON.stringify(ociIndex(images)));
  yield* entry('manifest.json', JSON.stringify(dockerManifest(images)));
  yield END;
}

function ociIndex(images: readonly ImageDocuments[]): object {
  return {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: images.map(({ reference, stored, manifest, mediaType }) => ({
      mediaType,
      digest: stored.manifest,
      size: manifest.length,
      annotations: {
        'io.containerd.image.name': reference,
        'org.opencontainers.image.ref.name': tagOf(reference) ?? reference,
      },
    })),
  };
}

function dockerManifest(images: readonly ImageDocuments[]): object {
  return images.map(({ reference, stored, layers }) => ({
    Config: pathOf(stored.config),
    RepoTags: tagOf(reference) === undefined ? [] : [reference.replace(/^docker\.io\//, '')],
    Layers: layers.map(({ digest }) => pathOf(digest)),
  }));
}

function tagOf(reference: string): string | undefined {
  return reference.includes('@') ? undefined : /:([^/:]+)$/.exec(reference)?.[1];
}

function pathOf(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function* entry(name: string, content: string | Buffer): Generator<Uint8Array> {
  const data = Buffer.from(content);
  yield header(name, data.length);
  yield data;
  yield Buffer.alloc(padding(data.length));
}

function header(name: string, size: number): Buffer {
  const plain = {
    type: '0',
    link: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: '0',
    major: 0,
    minor: 0,
  };
  return encodeEntry({ ...plain, name, size }, new Map());
}
