/** Makes the layers of images present: several at a time, each once however many images have it. */
import { errorCode, SwarmError, type Clock, type Logger, type Random } from '@swarmd/base';
import type { LayerProgress } from '@swarmd/model';

import { PARALLEL_LAYERS } from '../limits.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { LayerSource, UnpackedLayer } from '../unpack/unpack-layer.ts';
import type { Unpacker } from '../unpack/unpacker.ts';
import { layerCompression, type Descriptor, type ImageManifest } from './manifest.ts';
import { retry } from './retry.ts';
import { Semaphore } from './semaphore.ts';
import { SingleFlight } from './single-flight.ts';
import type { ImageStore } from './store.ts';

export interface LayerFetcherOptions {
  readonly store: ImageStore;
  readonly unpacker: Unpacker;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface WantedLayer {
  readonly registry: RegistryClient;
  readonly layer: Descriptor;
  readonly diffId: string;
  readonly where: string;
}

export class LayerFetcher {
  readonly #options: LayerFetcherOptions;
  readonly #flights = new SingleFlight<void>();
  readonly #slots = new Semaphore(PARALLEL_LAYERS);
  /** Bytes of those under way, by diffID. */
  readonly #bytes = new Map<string, number>();

  constructor(options: LayerFetcherOptions) {
    this.#options = options;
  }

  progress(layer: Descriptor, diffId: string): LayerProgress {
    const { digest, size: totalBytes } = layer;
    if (this.#options.store.hasLayer(diffId)) {
      return { digest, totalBytes, bytes: totalBytes, state: 'present' };
    }
    const bytes = this.#bytes.get(diffId);
    return {
      digest,
      totalBytes,
      bytes: bytes ?? 0,
      state: bytes === undefined ? 'waiting' : 'fetching',
    };
  }

  /** Unpacks a layer whose blob lies in a file of this machine. */
  async unpackFile(
    file: { readonly path: string; readonly layer: LayerSource },
    signal: AbortSignal,
  ): Promise<void> {
    const { store, unpacker } = this.#options;
    const { path, layer } = file;
    await this.#flights.run(layer.diffId, signal, async (signal) => {
      if (store.hasLayer(layer.diffId)) return;
      using _slot = await this.#slots.acquire(signal);
      const directory = store.temporaryLayer();
      const job = { layer, blob: { path }, directory, partial: '', keepAt: '' };
      const unpacked = await unpacker.unpack(job, () => undefined, signal);
      await store.adoptLayer(layer.diffId, directory, unpacked);
    });
  }

  /** @throws what the first layer that failed threw; the others have ended then. */
  async fetchAll(
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
          await this.#fetch({ registry, layer, diffId: diffIds[index] ?? '', where }, all);
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

  async #fetch(wanted: WantedLayer, signal: AbortSignal): Promise<void> {
    const { diffId } = wanted;
    for (;;) {
      const isJoined = this.#flights.has(diffId);
      try {
        await this.#flights.run(diffId, signal, (signal) => this.#unpack(wanted, signal));
        return;
      } catch (error) {
        // Whoever began it may not have been allowed what we are.
        if (!isJoined || signal.aborted || errorCode(error) !== 'permission-denied') throw error;
      }
    }
  }

  async #unpack(wanted: WantedLayer, signal: AbortSignal): Promise<void> {
    const { registry, layer, diffId, where } = wanted;
    const { store, unpacker } = this.#options;
    if (store.hasLayer(diffId)) return;
    const compression = layerCompression(layer, where);
    using _slot = await this.#slots.acquire(signal);
    const source = { digest: layer.digest, sizeBytes: layer.size, diffId, compression };
    const partial = store.partialBlob(layer.digest, diffId);
    try {
      if (await this.#unpackKept(source, signal)) return;
      await retry(this.#options, signal, async () => {
        this.#bytes.set(diffId, this.#bytes.get(diffId) ?? 0);
        const directory = store.temporaryLayer();
        const blob = registry.blobRequest(layer.digest);
        const keepAt = store.blobs.path(layer.digest);
        const job = { layer: source, blob, directory, partial, keepAt };
        const onBytes = (bytes: number): void => void this.#bytes.set(diffId, bytes);
        let unpacked: UnpackedLayer;
        try {
          unpacked = await unpacker.unpack(job, onBytes, signal);
        } catch (error) {
          if (errorCode(error) === 'unauthenticated') await registry.reauthorize(signal);
          throw error;
        }
        await store.adoptLayer(diffId, directory, unpacked);
      });
    } finally {
      this.#bytes.delete(diffId);
    }
  }

  /** A blob may be here although its layer is not: of a pull that we died in. @returns whether it was. */
  async #unpackKept(layer: LayerSource, signal: AbortSignal): Promise<boolean> {
    const { store, unpacker } = this.#options;
    const path = store.blobs.path(layer.digest);
    if (!(await store.blobs.has(layer.digest, layer.sizeBytes))) return false;
    const directory = store.temporaryLayer();
    const job = { layer, blob: { path }, directory, partial: '', keepAt: '' };
    try {
      const unpacked = await unpacker.unpack(job, () => undefined, signal);
      await store.adoptLayer(layer.diffId, directory, unpacked);
      return true;
    } catch (error) {
      if (errorCode(error) !== 'data-loss') throw error;
      // Damaged by a power loss.
      await store.blobs.remove(layer.digest);
      return false;
    }
  }
}
