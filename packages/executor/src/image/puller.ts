/**
 * Makes images present: reference -> index -> manifest -> configuration -> layers. However many
 * containers want the same image or layer at once, it is fetched once.
 */
import {
  Backoff,
  errorCode,
  errorMessage,
  sleep,
  SwarmError,
  withDeadline,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';

import {
  PARALLEL_LAYERS,
  PULL_ATTEMPTS,
  PULL_BACKOFF,
  TAG_CHECK_MS,
  TAG_FRESH_MS,
} from '../limits.ts';
import { RegistryClient, type RegistryOptions } from '../registry/client.ts';
import type { Unpacker } from '../unpack/unpacker.ts';
import {
  choosePlatform,
  layerCompression,
  parseDocument,
  parseImageConfig,
  type Descriptor,
  type ImageManifest,
  type Platform,
} from './manifest.ts';
import { canonicalReference, parseReference, type ImageReference } from './reference.ts';
import { Semaphore } from './semaphore.ts';
import { SingleFlight } from './single-flight.ts';
import type { ImageStore } from './store.ts';

export interface PullerOptions extends RegistryOptions {
  readonly store: ImageStore;
  readonly unpacker: Unpacker;
  readonly random: Random;
  readonly logger: Logger;
  readonly platform: Platform;
}

export class Puller {
  readonly #options: PullerOptions;
  readonly #clock: Clock;
  readonly #pulls = new SingleFlight<void>();
  readonly #layers = new SingleFlight<void>();
  readonly #slots = new Semaphore(PARALLEL_LAYERS);
  /** When a tag was last compared with its registry, in monotonic milliseconds. */
  readonly #checked = new Map<string, number>();

  constructor(options: PullerOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  /**
   * @throws SwarmError `invalid-argument`, `not-found`, `permission-denied`, `unavailable`,
   *   `data-loss`, `failed-precondition` (no image for this platform), `resource-exhausted`.
   */
  async pull(image: string, signal: AbortSignal): Promise<void> {
    const reference = parseReference(image);
    const key = canonicalReference(reference);
    await this.#pulls.run(key, signal, async (signal) => {
      if (await this.#isCurrent(reference, key, signal)) {
        await this.#options.store.touch(key, this.#clock.now());
        return;
      }
      await this.#fetchImage(reference, key, signal);
      this.#checked.set(key, this.#clock.monotonic());
    });
  }

  /** What a tag stands for in its registry now. */
  async digestOf(reference: ImageReference, signal: AbortSignal): Promise<string> {
    const registry = new RegistryClient(this.#options, reference);
    const tag = reference.tag ?? 'latest';
    const what = `asking for ${canonicalReference(reference)}`;
    return withDeadline(
      { clock: this.#clock, timeoutMs: TAG_CHECK_MS, what, signal },
      async (signal) =>
        (await registry.resolve(tag, signal)) ?? (await registry.document(tag, signal)).digest,
    );
  }

  /** A digest never changes; a tag is compared with the registry, unless that cannot be asked. */
  async #isCurrent(reference: ImageReference, key: string, signal: AbortSignal): Promise<boolean> {
    const { store, logger } = this.#options;
    await this.#adopt(reference, key);
    const local = await store.image(key).catch((error: unknown) => {
      logger.warn(
        { image: key, error: errorMessage(error) },
        'a stored image is damaged; pulling it again',
      );
    });
    if (local === undefined) return false;
    if (reference.tag === undefined || reference.digest !== undefined) return true;
    const checkedAt = this.#checked.get(key) ?? Number.NEGATIVE_INFINITY;
    if (this.#clock.monotonic() - checkedAt < TAG_FRESH_MS) return true;
    const { tag } = reference;
    try {
      const registry = new RegistryClient(this.#options, reference);
      const digest = await withDeadline(
        { clock: this.#clock, timeoutMs: TAG_CHECK_MS, what: `asking for ${key}`, signal },
        (signal) => registry.resolve(tag, signal),
      );
      if (digest !== local.target) return false;
    } catch (error) {
      if (signal.aborted) throw error;
      logger.warn(
        { image: key, error: errorMessage(error) },
        'using the local image: its tag cannot be checked',
      );
    }
    this.#checked.set(key, this.#clock.monotonic());
    return true;
  }

  /** What is here under another name need not be fetched, nor its registry be there. */
  async #adopt({ digest }: ImageReference, key: string): Promise<void> {
    const { store } = this.#options;
    if (digest === undefined) return;
    const entries = store.entries();
    const same = entries.find(({ image }) => image.target === digest);
    if (same === undefined || entries.some((entry) => entry.reference === key)) return;
    await store.commit(key, same.image);
  }

  async #fetchImage(reference: ImageReference, key: string, signal: AbortSignal): Promise<void> {
    const { store, platform, logger } = this.#options;
    const registry = new RegistryClient(this.#options, reference);
    const where = `image ${key}`;
    const target = await this.#retry(signal, () =>
      registry.document(reference.digest ?? reference.tag ?? 'latest', signal),
    );
    let manifest = target;
    let document = parseDocument(target.bytes, where);
    if (document.kind === 'index') {
      const chosen = choosePlatform(document.manifests, platform, where);
      manifest = await this.#retry(signal, () => registry.document(chosen.digest, signal));
      document = parseDocument(manifest.bytes, where);
    }
    if (document.kind === 'index') {
      throw new SwarmError('data-loss', `${where}: an index within an index is not supported`);
    }
    const config = document.manifest.config.digest;
    const bytes = await this.#retry(signal, () => registry.blob(config, signal));
    const { diffIds } = parseImageConfig(bytes, where);
    // Clean-ups leave alone what this pull has found or made until its image is known.
    using _pinned = store.pin(diffIds);
    await this.#fetchLayers({ registry, manifest: document.manifest, diffIds, where }, signal);
    await store.putBlob(manifest.digest, manifest.bytes);
    await store.putBlob(config, bytes);
    const now = this.#clock.now();
    await store.commit(key, {
      target: target.digest,
      manifest: manifest.digest,
      config,
      layers: [...diffIds],
      pulledAt: now,
      usedAt: now,
    });
    logger.info({ image: key, digest: target.digest, layers: diffIds.length }, 'pulled an image');
  }

  async #fetchLayers(
    image: {
      readonly registry: RegistryClient;
      readonly manifest: ImageManifest;
      readonly diffIds: readonly string[];
      readonly where: string;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, manifest, diffIds, where } = image;
    if (manifest.layers.length !== diffIds.length) {
      throw new SwarmError(
        'data-loss',
        `${where}: its manifest has ${manifest.layers.length} layers, its configuration ${diffIds.length}`,
      );
    }
    const controller = new AbortController();
    const all = AbortSignal.any([signal, controller.signal]);
    const results = await Promise.allSettled(
      manifest.layers.map(async (layer, index) => {
        try {
          await this.#layer({ registry, layer, diffId: diffIds[index] ?? '', where }, all);
        } catch (error) {
          // The others are of no use without this one.
          controller.abort(error);
          throw error;
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw controller.signal.reason ?? failed.reason;
  }

  async #layer(
    wanted: {
      readonly registry: RegistryClient;
      readonly layer: Descriptor;
      readonly diffId: string;
      readonly where: string;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, layer, diffId, where } = wanted;
    const { store, unpacker } = this.#options;
    const compression = layerCompression(layer, where);
    await this.#layers.run(diffId, signal, async (signal) => {
      if (store.hasLayer(diffId)) return;
      using _slot = await this.#slots.acquire(signal);
      await this.#retry(signal, async () => {
        const directory = store.temporaryLayer();
        const source = { digest: layer.digest, sizeBytes: layer.size, diffId, compression };
        const blob = registry.blobRequest(layer.digest);
        let bytes: number;
        try {
          bytes = await unpacker.unpack({ layer: source, blob, directory }, signal);
        } catch (error) {
          if (errorCode(error) === 'unauthenticated') await registry.reauthorize(signal);
          throw error;
        }
        await store.adoptLayer(diffId, directory, bytes);
      });
    });
  }

  /** Repeats what failed for a reason that may pass. */
  async #retry<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    const backoff = new Backoff(PULL_BACKOFF, this.#options.random);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await fn();
      } catch (error) {
        const code = errorCode(error);
        const mayPass = code === 'unavailable' || code === 'unauthenticated';
        if (!mayPass || attempt >= PULL_ATTEMPTS || signal.aborted) throw error;
        this.#options.logger.debug(
          { attempt, error: errorMessage(error) },
          'a pull is tried again',
        );
        await sleep(this.#clock, backoff.nextMs(), signal);
      }
    }
  }
}
