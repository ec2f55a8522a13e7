/**
 * Makes images present: reference -> index -> manifest -> configuration -> layers. However many
 * containers want the same image at once, it is fetched once. A registry's mirrors are asked before it.
 */
import { createHash } from 'node:crypto';

import {
  errorCode,
  errorMessage,
  SwarmError,
  withDeadline,
  type Clock,
  type Logger,
} from '@swarmd/base';
import { formatRegistryAuth, type RegistryAuth, type LayerProgress } from '@swarmd/model';

import { TAG_CHECK_MS, TAG_FRESH_MS } from '../limits.ts';
import { RegistryClient } from '../registry/client.ts';
import { endpointsOf, originOf, type Registries } from '../registry/endpoint.ts';
import type { PullOptions } from '../types.ts';
import type { LayerFetcher, LayerFetcherOptions } from './layer-fetcher.ts';
import { choosePlatform, parseDocument, parseImageConfig, type Platform } from './manifest.ts';
import { canonicalReference, parseReference, type ImageReference } from './reference.ts';
import { retry } from './retry.ts';
import { SingleFlight } from './single-flight.ts';

export interface PullerOptions extends LayerFetcherOptions {
  readonly layers: LayerFetcher;
  readonly registries: Registries;
  readonly platform: Platform;
}

export class Puller {
  readonly #options: PullerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pulls = new SingleFlight<void>();
  readonly #layers: LayerFetcher;
  /** When a tag was last compared with its registry, in monotonic milliseconds. */
  readonly #checked = new Map<string, number>();
  /** How far those under way are, by canonical reference. */
  readonly #progress = new Map<string, () => readonly LayerProgress[]>();

  constructor(options: PullerOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#layers = options.layers;
  }

  /**
   * @throws SwarmError `invalid-argument`, `not-found`, `permission-denied`, `unavailable`,
   *   `data-loss`, `failed-precondition` (no image for this platform), `resource-exhausted`.
   */
  async pull(image: string, signal: AbortSignal, options: PullOptions = {}): Promise<void> {
    const reference = parseReference(image);
    const key = canonicalReference(reference);
    const { auth } = options;
    // Nobody may fail, or succeed, by what somebody else is allowed.
    const flight = auth === undefined ? key : `${key} ${fingerprint(auth)}`;
    await this.#pulls.run(flight, signal, async (signal) => {
      const wanted = { reference, key, auth };
      if (await this.#isCurrent(wanted, signal)) {
        await this.#options.store.touch(key, this.#clock.now());
        return;
      }
      await this.#fromAnywhere(wanted, signal, (registry) =>
        this.#fetchImage({ registry, reference, key }, signal),
      );
      this.#checked.set(key, this.#clock.monotonic());
    });
  }

  /** The layers of a pull that is under way; undefined while they are not known. */
  progress(image: string): readonly LayerProgress[] | undefined {
    return this.#progress.get(canonicalReference(parseReference(image)))?.();
  }

  /** What a tag stands for in its registry now. */
  async digestOf(
    reference: ImageReference,
    signal: AbortSignal,
    { auth }: PullOptions = {},
  ): Promise<string> {
    const tag = reference.tag ?? 'latest';
    const key = canonicalReference(reference);
    const what = `asking for ${key}`;
    return withDeadline(
      { clock: this.#clock, timeoutMs: TAG_CHECK_MS, what, signal },
      async (signal) =>
        this.#fromAnywhere(
          { reference, key, auth },
          signal,
          async (registry) =>
            (await registry.resolve(tag, signal)) ?? (await registry.document(tag, signal)).digest,
        ),
    );
  }

  /** @throws SwarmError `permission-denied` when the registry does not know the credentials. */
  async checkAuth(registry: string, auth: RegistryAuth, signal: AbortSignal): Promise<void> {
    const endpoint = await originOf(registry, this.#options.registries);
    const credentials = auth[registry];
    const client = new RegistryClient({
      clock: this.#clock,
      endpoint,
      repository: '',
      credentials,
    });
    await client.checkAuth(signal);
  }

  /** A digest never changes; a tag is compared with the registry, unless that cannot be asked. */
  async #isCurrent({ reference, key, auth }: Wanted, signal: AbortSignal): Promise<boolean> {
    const { store } = this.#options;
    await this.#adopt(reference, key);
    const local = await store.image(key).catch((error: unknown) => {
      this.#logger.warn(
        { image: key, error: errorMessage(error) },
        'a stored image is damaged; pulling it again',
      );
    });
    if (local === undefined) return false;
    if (reference.tag === undefined || reference.digest !== undefined) return true;
    const checkedAt = this.#checked.get(key) ?? Number.NEGATIVE_INFINITY;
    if (this.#clock.monotonic() - checkedAt < TAG_FRESH_MS) return true;
    try {
      const digest = await this.digestOf(reference, signal, auth === undefined ? {} : { auth });
      if (digest !== local.target) return false;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#logger.warn(
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

  /** Of each place that may have the image in turn, until one gives what is wanted. */
  async #fromAnywhere<T>(
    { reference, key, auth }: Wanted,
    signal: AbortSignal,
    ask: (registry: RegistryClient) => Promise<T>,
  ): Promise<T> {
    const { registry, repository } = reference;
    const endpoints = await endpointsOf(registry, this.#options.registries);
    for (const [index, endpoint] of endpoints.entries()) {
      const credentials = auth?.[endpoint.host];
      try {
        return await ask(
          new RegistryClient({ clock: this.#clock, endpoint, repository, credentials }),
        );
      } catch (error) {
        const isLast = index === endpoints.length - 1;
        // Another place does not help against a full disk.
        if (isLast || signal.aborted || errorCode(error) === 'resource-exhausted') throw error;
        this.#logger.warn(
          { image: key, mirror: endpoint.host, error: errorMessage(error) },
          'a mirror does not have the image; asking the next',
        );
      }
    }
    throw new SwarmError('internal', `registry ${registry} has no endpoint`);
  }

  async #fetchImage(
    wanted: {
      readonly registry: RegistryClient;
      readonly reference: ImageReference;
      readonly key: string;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, reference, key } = wanted;
    const { store, platform } = this.#options;
    const where = `image ${key}`;
    const repeated = <T>(fn: () => Promise<T>): Promise<T> => retry(this.#options, signal, fn);
    const target = await repeated(() =>
      registry.document(reference.digest ?? reference.tag ?? 'latest', signal),
    );
    let manifest = target;
    let document = parseDocument(target.bytes, where);
    if (document.kind === 'index') {
      const chosen = choosePlatform(document.manifests, platform, where);
      manifest = await repeated(() => registry.document(chosen.digest, signal));
      document = parseDocument(manifest.bytes, where);
    }
    if (document.kind === 'index') {
      throw new SwarmError('data-loss', `${where}: an index within an index is not supported`);
    }
    const config = document.manifest.config.digest;
    const bytes = await repeated(() => registry.blob(config, signal));
    const { diffIds } = parseImageConfig(bytes, where);
    // Clean-ups leave alone what this pull has found or made until its image is known.
    const { layers } = document.manifest;
    const blobs = layers.map(({ digest }) => digest);
    using _pinned = store.pin(diffIds, [manifest.digest, config, ...blobs]);
    const progress = (): readonly LayerProgress[] =>
      layers.map((layer, index) => this.#layers.progress(layer, diffIds[index] ?? ''));
    this.#progress.set(key, progress);
    try {
      const image = { registry, manifest: document.manifest, diffIds, where };
      await this.#layers.fetchAll(image, signal);
    } finally {
      if (this.#progress.get(key) === progress) this.#progress.delete(key);
    }
    await store.blobs.put(manifest.digest, manifest.bytes);
    await store.blobs.put(config, bytes);
    const now = this.#clock.now();
    await store.commit(key, {
      target: target.digest,
      manifest: manifest.digest,
      config,
      layers: [...diffIds],
      blobs,
      pulledAt: now,
      usedAt: now,
    });
    const { length } = diffIds;
    this.#logger.info({ image: key, digest: target.digest, layers: length }, 'pulled an image');
  }
}

interface Wanted {
  readonly reference: ImageReference;
  /** Its canonical form. */
  readonly key: string;
  readonly auth: RegistryAuth | undefined;
}

function fingerprint(auth: RegistryAuth): string {
  return createHash('sha256').update(formatRegistryAuth(auth)).digest('hex');
}
