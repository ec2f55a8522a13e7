/** Images of this machine on their way out and in: to registries, to and from archives. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock } from '@swarmd/base';
import type { LayerProgress } from '@swarmd/model';

import { RegistryClient } from '../registry/client.ts';
import { originOf, type Registries } from '../registry/endpoint.ts';
import { pushImage } from '../registry/push.ts';
import type { ImportOptions, PullOptions } from '../types.ts';
import {
  diffIdOf,
  digestOfBytes,
  imagesOf,
  layerFile,
  manifestFor,
  placeBlob,
  type LoadedImage,
} from './archive-load.ts';
import { readArchive } from './archive-reader.ts';
import { writeArchive } from './archive-writer.ts';
import type { LayerFetcher } from './layer-fetcher.ts';
import { parseImageConfig, type Platform } from './manifest.ts';
import { canonicalReference, parseReference } from './reference.ts';
import { imageDocuments, requireBlobs } from './stored-images.ts';
import type { ImageStore } from './store.ts';

export interface ImageTransferOptions {
  readonly store: ImageStore;
  readonly layers: LayerFetcher;
  readonly registries: Registries;
  readonly platform: Platform;
  readonly clock: Clock;
}

export class ImageTransfer {
  readonly #options: ImageTransferOptions;

  constructor(options: ImageTransferOptions) {
    this.#options = options;
  }

  /** Tells which layers are there after each one; blobs that the registry has are not sent. */
  async *push(
    name: string,
    signal: AbortSignal,
    { auth }: PullOptions = {},
  ): AsyncGenerator<readonly LayerProgress[]> {
    const { store, registries, clock } = this.#options;
    const reference = parseReference(name);
    if (reference.tag === undefined) {
      throw new SwarmError('invalid-argument', `${name}: say by which tag it is pushed`);
    }
    const image = await imageDocuments(store, name);
    using _pinned = store.pin([], image.stored.blobs);
    await requireBlobs(store, image);
    const endpoint = await originOf(reference.registry, registries);
    const credentials = auth?.[reference.registry];
    const { repository, tag } = reference;
    const registry = new RegistryClient({ clock, endpoint, repository, credentials });
    const sent = new Set<string>();
    const news = (): readonly LayerProgress[] =>
      image.layers.map(({ digest, size }) => ({
        digest,
        totalBytes: size,
        bytes: sent.has(digest) ? size : 0,
        state: sent.has(digest) ? 'present' : 'waiting',
      }));
    const blobPath = (digest: string): string => store.blobs.path(digest);
    yield news();
    for await (const digest of pushImage({ registry, image, tag, blobPath }, signal)) {
      sent.add(digest);
      yield news();
    }
  }

  /** @throws SwarmError `not-found`, `failed-precondition`. */
  async *save(names: readonly string[]): AsyncGenerator<Uint8Array> {
    const { store } = this.#options;
    const images = await Promise.all(names.map((name) => imageDocuments(store, name)));
    using _pinned = store.pin(
      [],
      images.flatMap(({ stored }) => stored.blobs),
    );
    yield* writeArchive(store, images);
  }

  /** @returns the names of what was loaded; the digest of what has none. */
  async load(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<readonly string[]> {
    return this.#inFolder(async (folder) => {
      const files = await readArchive(archive, folder);
      const names: string[] = [];
      for (const image of await imagesOf(files, this.#options.platform)) {
        names.push(...(await this.#adopt(image, signal)));
      }
      return names;
    });
  }

  /** A root file system becomes an image of one layer. @returns its name. */
  async import(
    archive: AsyncIterable<Uint8Array>,
    { reference, config }: ImportOptions,
    signal: AbortSignal,
  ): Promise<string> {
    const parsed = parseReference(reference);
    if (parsed.digest !== undefined) {
      throw new SwarmError('invalid-argument', `${reference}: a digest is no name to be given`);
    }
    const name = canonicalReference(parsed);
    return this.#inFolder(async (folder) => {
      const path = join(folder, 'layer');
      await using file = await open(path, 'w', 0o600);
      for await (const chunk of archive) await file.appendFile(chunk);
      const diffId = await diffIdOf(path);
      const layer = await layerFile(path, diffId);
      const document = Buffer.from(
        JSON.stringify({
          ...this.#options.platform,
          config,
          rootfs: { type: 'layers', diff_ids: [diffId] },
          history: [{ created_by: 'swarmctl image import' }],
        }),
      );
      parseImageConfig(document, `the configuration of ${name}`);
      const manifest = manifestFor(document, [layer]);
      const image = { references: [name], manifest, config: document, diffIds: [diffId] };
      await this.#adopt({ ...image, layers: [layer] }, signal);
      return name;
    });
  }

  async #adopt(image: LoadedImage, signal: AbortSignal): Promise<readonly string[]> {
    const { store, layers, clock } = this.#options;
    const target = digestOfBytes(image.manifest);
    const config = digestOfBytes(image.config);
    const blobs = image.layers.map(({ digest }) => digest);
    using _pinned = store.pin(image.diffIds, [target, config, ...blobs]);
    for (const layer of image.layers) {
      await layers.unpackFile({ path: layer.path, layer }, signal);
      await placeBlob(layer.path, store.blobs.path(layer.digest));
    }
    await store.blobs.put(target, image.manifest);
    await store.blobs.put(config, image.config);
    const now = clock.now();
    const { references } = image;
    const names = references.length > 0 ? references : [`docker.io/library/loaded@${target}`];
    const stored = { target, manifest: target, config, blobs, pulledAt: now, usedAt: now };
    for (const name of names) await store.commit(name, { ...stored, layers: [...image.diffIds] });
    return names;
  }

  async #inFolder<T>(fn: (folder: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(this.#options.store.scratchDir, 'archive-'));
    try {
      return await fn(folder);
    } catch (cause) {
      const isFull = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
      if (!isFull) throw cause;
      throw new SwarmError('resource-exhausted', `no room for the archive: ${cause.message}`, {
        cause,
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
