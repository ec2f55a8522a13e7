/** What the store has of one image, as documents: for looking at, pushing and saving it. */
import { stat } from 'node:fs/promises';

import { SwarmError } from '@swarmd/base';

import { isNotFound } from '../files/atomic-file.ts';
import { parseDocument, type Descriptor } from './manifest.ts';
import { noSuchImage } from './no-such-image.ts';
import { canonicalReference, parseReference } from './reference.ts';
import type { StoredImage } from './image-index.ts';
import type { ImageStore } from './store.ts';

export interface ImageDocuments {
  /** Canonical. */
  readonly reference: string;
  readonly stored: StoredImage;
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly config: Buffer;
  readonly configDescriptor: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** @throws SwarmError `not-found`, `data-loss`. */
export async function imageDocuments(store: ImageStore, name: string): Promise<ImageDocuments> {
  const parsed = parseReference(name);
  const reference = canonicalReference(parsed);
  const entries = store.entries();
  const entry = entries.find((one) => one.reference === reference);
  if (entry === undefined) {
    throw noSuchImage(
      parsed,
      entries.map((one) => one.reference),
    );
  }
  const stored = entry.image;
  const manifest = await store.blobs.document(stored.manifest);
  const document = parseDocument(manifest, `image ${reference}`);
  if (document.kind === 'index') {
    throw new SwarmError(
      'data-loss',
      `image ${reference}: its manifest is an index; pull it again`,
    );
  }
  const { mediaType = OCI_MANIFEST } = JSON.parse(manifest.toString('utf8')) as {
    mediaType?: string;
  };
  return {
    reference,
    stored,
    manifest,
    mediaType,
    config: await store.blobs.document(stored.config),
    configDescriptor: document.manifest.config,
    layers: document.manifest.layers,
  };
}

/** @throws SwarmError `failed-precondition` when a layer's blob is not kept on this node. */
export async function requireBlobs(store: ImageStore, image: ImageDocuments): Promise<void> {
  for (const { digest, size } of image.layers) {
    try {
      if ((await stat(store.blobs.path(digest))).size === size) continue;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    throw new SwarmError(
      'failed-precondition',
      `layer ${digest} of image ${image.reference} is here only unpacked (its blob went when the disk was short): rm the image and pull it again`,
    );
  }
}
