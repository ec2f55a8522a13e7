/** The images of this machine for people: seen, named, and removed when nothing needs them. */
import { SwarmError, type Clock } from '@swarmd/base';

import { isIdleImage, type LayerProgress, type RegistryAuth } from '@swarmd/model';

import type { ImageDetails, ImageInfo, Images, ImportOptions, PullOptions } from '../types.ts';
import type { ImageTransfer } from './image-transfer.ts';
import type { Puller } from './puller.ts';
import { noSuchImage } from './no-such-image.ts';
import { canonicalReference, parseReference, pinnedReference } from './reference.ts';
import { imageDocuments } from './stored-images.ts';
import type { ImageStore } from './store.ts';

export interface ImageServiceOptions {
  readonly store: ImageStore;
  readonly clock: Clock;
  readonly transfer: ImageTransfer;
  readonly puller: Pick<Puller, 'digestOf' | 'progress' | 'checkAuth'>;
  /** References that containers of this machine were made of, and the layer directories they mount. */
  readonly used: () => {
    readonly references: ReadonlySet<string>;
    readonly layers: ReadonlySet<string>;
  };
}

export class ImageService implements Images {
  readonly #options: ImageServiceOptions;
  /** How many are about to make containers of an image, by canonical reference. */
  readonly #held = new Map<string, number>();

  constructor(options: ImageServiceOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly ImageInfo[]> {
    return this.listNow();
  }

  /** The same at once: nothing can change between looking and acting. */
  listNow(): readonly ImageInfo[] {
    const { store, used } = this.#options;
    const { references } = used();
    return store
      .entries()
      .map(({ reference, image, bytes }) => ({
        reference,
        digest: image.target,
        id: image.config,
        bytes,
        pulledAt: image.pulledAt,
        usedAt: image.usedAt,
        used: references.has(reference) || this.#held.has(reference),
      }))
      .toSorted((a, b) => (a.reference < b.reference ? -1 : 1));
  }

  hold(name: string): Disposable {
    const reference = canonicalReference(parseReference(name));
    this.#held.set(reference, (this.#held.get(reference) ?? 0) + 1);
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        const left = (this.#held.get(reference) ?? 1) - 1;
        if (left === 0) this.#held.delete(reference);
        else this.#held.set(reference, left);
      },
    };
  }

  /** @returns bytes given back. */
  drop(references: readonly string[]): Promise<number> {
    return this.#options.store.drop(references, this.#options.used().layers);
  }

  async inspect(reference: string): Promise<ImageInfo> {
    const parsed = parseReference(reference);
    const canonical = canonicalReference(parsed);
    const images = this.listNow();
    const found = images.find((image) => image.reference === canonical);
    if (found !== undefined) return found;
    throw noSuchImage(
      parsed,
      images.map((image) => image.reference),
    );
  }

  async resolve(
    reference: string,
    signal: AbortSignal,
    options: PullOptions = {},
  ): Promise<string> {
    const parsed = parseReference(reference);
    if (parsed.digest !== undefined) return reference;
    return pinnedReference(reference, await this.#options.puller.digestOf(parsed, signal, options));
  }

  async details(reference: string): Promise<ImageDetails> {
    const { store } = this.#options;
    const info = await this.inspect(reference);
    const { stored, config, layers } = await imageDocuments(store, info.reference);
    const names = store.entries().filter(({ image }) => image.config === stored.config);
    return {
      ...info,
      names: names.map((entry) => entry.reference).toSorted(),
      config: config.toString('utf8'),
      layers: layers.map(({ digest, size: bytes }) => ({ digest, bytes })),
    };
  }

  push(
    reference: string,
    signal: AbortSignal,
    options?: PullOptions,
  ): AsyncIterable<readonly LayerProgress[]> {
    return this.#options.transfer.push(reference, signal, options);
  }

  save(references: readonly string[]): AsyncIterable<Uint8Array> {
    return this.#options.transfer.save(references);
  }

  load(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<readonly string[]> {
    return this.#options.transfer.load(archive, signal);
  }

  import(
    archive: AsyncIterable<Uint8Array>,
    options: ImportOptions,
    signal: AbortSignal,
  ): Promise<string> {
    return this.#options.transfer.import(archive, options, signal);
  }

  checkAuth(registry: string, auth: RegistryAuth, signal: AbortSignal): Promise<void> {
    return this.#options.puller.checkAuth(registry, auth, signal);
  }

  pullProgress(reference: string): readonly LayerProgress[] | undefined {
    return this.#options.puller.progress(reference);
  }

  async tag(reference: string, target: string): Promise<void> {
    const { reference: known } = await this.inspect(reference);
    const name = parseReference(target);
    if (name.digest !== undefined) {
      throw new SwarmError('invalid-argument', `${target}: a digest is no name to be given`);
    }
    const entry = this.#options.store.entries().find((one) => one.reference === known);
    if (entry !== undefined)
      await this.#options.store.commit(canonicalReference(name), entry.image);
  }

  async remove(reference: string): Promise<number> {
    const { reference: canonical } = await this.inspect(reference);
    const image = this.listNow().find((one) => one.reference === canonical);
    if (image === undefined) return 0;
    if (image.used) {
      throw new SwarmError(
        'failed-precondition',
        `image ${image.reference} is in use by a container of this node`,
      );
    }
    return this.drop([image.reference]);
  }

  async prune(
    unusedForMs: number,
  ): Promise<{ readonly references: readonly string[]; readonly freedBytes: number }> {
    const now = this.#options.clock.now();
    const idle = this.listNow().filter((image) => isIdleImage(image, { now, unusedForMs }));
    const references = idle.map((image) => image.reference);
    return { references, freedBytes: await this.drop(references) };
  }
}
