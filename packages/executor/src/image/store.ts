/**
 * Images of this machine: `images/index.json` names what is whole, `images/blobs/` holds manifests
 * and configurations by digest, `l/NAME` one unpacked layer each. What the index does not name is
 * garbage of an interrupted pull and is removed at the next start.
 *
 * Durability without making a pull wait for the disk: a new layer is noted together with the boot it
 * was unpacked in. Our own death cannot harm it. Once the disk has it, the note goes; after a boot, a
 * layer that still has it is thrown away, for it may be missing parts.
 *
 * Layer directories have names of a few characters because all of them go into one mount option
 * string, which the kernel limits to a page.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, SwarmError, type Clock, type Logger, type Scope } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { PARTIAL_KEPT_MS, TOUCH_INTERVAL_MS } from '../limits.ts';
import type { UnpackedLayer } from '../unpack/unpack-layer.ts';
import { BlobFolder } from './blob-folder.ts';
import { IndexWriter, readImageIndex, type StoredImage, type StoredLayer } from './image-index.ts';
import { parseImageConfig, type ImageConfig } from './manifest.ts';
import { Pins } from './pins.ts';

export interface LocalImage {
  readonly target: string;
  /** Digest of its configuration. */
  readonly id: string;
  readonly config: ImageConfig;
  /** Names in `layersDir`, lowest first. */
  readonly layers: readonly string[];
}

export interface ImageStoreOptions {
  readonly stateDir: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Owns the writing back to disk. */
  readonly scope: Scope;
}

const TEMPORARY = '.tmp-';
/** A busy disk may take minutes to write back all that is dirty. */
const SYNC_TIMEOUT_MS = 600_000;

export class ImageStore {
  /** Holds the layer directories; overlay mounts are made with it as working directory. */
  readonly layersDir: string;
  /** For work that fails with us: emptied when the store is opened. */
  readonly scratchDir: string;
  readonly blobs: BlobFolder;
  readonly #options: ImageStoreOptions;
  readonly #index: IndexWriter;
  readonly #partialsDir: string;
  readonly #indexPath: string;
  readonly #images = new Map<string, StoredImage>();
  readonly #layers = new Map<string, StoredLayer>();
  /** By digest; of images that are here. */
  readonly #configs = new Map<string, ImageConfig>();
  /** What pulls and containers being made hold. */
  readonly #pinned = new Pins();
  #nextLayer = 1;
  #temporary = 0;
  /** When the index was written last; before that, nobody knows. */
  #savedAt = 0;

  private constructor(options: ImageStoreOptions) {
    this.#options = options;
    this.layersDir = join(options.stateDir, 'l');
    this.blobs = new BlobFolder(join(options.stateDir, 'images', 'blobs', 'sha256'));
    this.scratchDir = join(options.stateDir, 'images', 'scratch');
    this.#partialsDir = join(options.stateDir, 'images', 'partial');
    this.#indexPath = join(options.stateDir, 'images', 'index.json');
    this.#index = new IndexWriter(this.#indexPath, () => ({
      images: Object.fromEntries(this.#images),
      layers: Object.fromEntries(this.#layers),
      nextLayer: this.#nextLayer,
    }));
  }

  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const store = new ImageStore(options);
    // Nobody on this machine but us may reach setuid programs of images.
    await mkdir(store.layersDir, { recursive: true, mode: 0o700 });
    await store.blobs.open();
    await rm(store.scratchDir, { recursive: true, force: true });
    await mkdir(store.scratchDir, { recursive: true, mode: 0o700 });
    await mkdir(store.#partialsDir, { recursive: true, mode: 0o700 });
    await store.#load();
    await store.#index.removeHalfWritten();
    await store.#removeGarbage();
    await store.#removeOldDownloads();
    return store;
  }

  hasLayer(diffId: string): boolean {
    return this.#layers.has(diffId);
  }

  /**
   * The image with its parsed configuration; undefined when it is not present.
   * @throws SwarmError `data-loss` when parts of it are missing or damaged.
   */
  async image(reference: string): Promise<LocalImage | undefined> {
    const stored = this.#images.get(reference);
    if (stored === undefined) return undefined;
    const config = await this.#config(reference, stored.config);
    const layers = config.diffIds.map((diffId) => this.#layers.get(diffId)?.name ?? '');
    if (layers.includes('')) {
      throw new SwarmError('data-loss', `a layer of image ${reference} is missing; pull it again`);
    }
    return { target: stored.target, id: stored.config, config, layers };
  }

  /** Parsed once: every container that is made needs it. */
  async #config(reference: string, digest: string): Promise<ImageConfig> {
    const known = this.#configs.get(digest);
    if (known !== undefined) return known;
    const bytes = await this.blobs.intact(digest);
    if (bytes === undefined) {
      throw new SwarmError(
        'data-loss',
        `the configuration of image ${reference} is missing; pull it again`,
      );
    }
    const config = parseImageConfig(bytes, `image ${reference}`);
    this.#configs.set(digest, config);
    return config;
  }

  /** Directories of a layer (by its name in `layersDir`) that show nothing of those below it. */
  opaqueIn(name: string): readonly string[] {
    const layer = [...this.#layers.values()].find((one) => one.name === name);
    return layer?.opaque ?? [];
  }

  /** A path to unpack a layer into, in the same file system as its later home. */
  temporaryLayer(): string {
    this.#temporary += 1;
    // An earlier life's tar may still be at work in a folder of its own.
    return join(this.layersDir, `${TEMPORARY}${process.pid}-${this.#temporary}`);
  }

  /** Where the blob of a layer is kept while it is downloaded. */
  partialBlob(digest: string, diffId: string): string {
    const short = (text: string): string => text.replace('sha256:', '');
    // A manifest may name one blob for different layers; they must not share a file.
    return join(this.#partialsDir, `${short(digest)}-${short(diffId).slice(0, 16)}`);
  }

  /** Takes over an unpacked, checked directory. It outlives us once `commit` has been called. */
  async adoptLayer(
    diffId: string,
    directory: string,
    { plainBytes, opaque }: UnpackedLayer,
  ): Promise<void> {
    const name = this.#nextLayer.toString(36);
    this.#nextLayer += 1;
    await rename(directory, join(this.layersDir, name));
    const unsyncedIn = this.#options.bootId;
    this.#layers.set(diffId, { name, unsyncedIn, bytes: plainBytes, opaque: [...opaque] });
  }

  /** Makes the image findable, for later lives too; the disk follows in the background. */
  async commit(reference: string, image: StoredImage): Promise<void> {
    this.#images.set(reference, image);
    await this.#save({ sync: false });
    this.#options.scope.spawn('writing layers back to disk', (signal) => this.#writeBack(signal));
  }

  /** Every name with its image, and the bytes of its layers. */
  entries(): readonly { reference: string; image: StoredImage; bytes: number }[] {
    return [...this.#images].map(([reference, image]) => ({
      reference,
      image,
      bytes: image.layers.reduce((sum, id) => sum + (this.#layers.get(id)?.bytes ?? 0), 0),
    }));
  }

  /** A container is being made of it. Written down now and then: every time is a write of the index. */
  async touch(reference: string, now: number): Promise<void> {
    const image = this.#images.get(reference);
    if (image === undefined) return;
    this.#images.set(reference, { ...image, usedAt: now });
    if (now - image.usedAt < TOUCH_INTERVAL_MS && now - this.#savedAt < TOUCH_INTERVAL_MS) return;
    await this.#save({ sync: false });
  }

  /**
   * Takes names away, and with them what no other name needs, unless `keeps` wants the layer.
   * The index is written first: what it does not name is garbage, whenever we die.
   * @param keeps names of layer directories that containers have mounted.
   * @returns bytes given back.
   */
  async drop(references: readonly string[], keeps: ReadonlySet<string>): Promise<number> {
    for (const reference of references) this.#images.delete(reference);
    const configs = new Set([...this.#images.values()].map((image) => image.config));
    for (const digest of this.#configs.keys())
      if (!configs.has(digest)) this.#configs.delete(digest);
    // What an entry of an earlier version needs is not known.
    if ([...this.#images.values()].some((image) => image.layers.length === 0)) {
      await this.#save({ sync: true });
      return 0;
    }
    const needed = new Set([...this.#images.values()].flatMap((image) => image.layers));
    const gone = [...this.#layers].filter(
      ([diffId, { name }]) => !needed.has(diffId) && !keeps.has(name) && !this.#pinned.has(diffId),
    );
    for (const [diffId] of gone) this.#layers.delete(diffId);
    await this.#save({ sync: true });
    for (const [, { name }] of gone) {
      await rm(join(this.layersDir, name), { recursive: true, force: true });
    }
    const freed = gone.reduce((sum, [, { bytes = 0 }]) => sum + bytes, 0);
    return freed + (await this.#removeUnneededBlobs());
  }

  /** Bytes of layers' blobs, which nothing needs to run. */
  async looseBlobBytes(): Promise<number> {
    let bytes = 0;
    for (const path of await this.#blobsBut(this.#documents())) bytes += (await stat(path)).size;
    return bytes;
  }

  /** @returns bytes given back. */
  async dropLooseBlobs(): Promise<number> {
    return removeAll(await this.#blobsBut(this.#documents()));
  }

  async #removeUnneededBlobs(): Promise<number> {
    const images = [...this.#images.values()];
    const blobs = images.flatMap((image) => image.blobs);
    return removeAll(await this.#blobsBut([...this.#documents(), ...blobs]));
  }

  /** Digests of manifests and configurations. */
  #documents(): readonly string[] {
    return [...this.#images.values()].flatMap(({ manifest, config }) => [manifest, config]);
  }

  /** Paths of the blobs that are not among these, and that no pull holds. */
  #blobsBut(digests: readonly string[]): Promise<readonly string[]> {
    const kept = new Set(digests);
    return this.blobs.others((digest) => kept.has(digest) || this.#pinned.has(digest));
  }

  /** Layers that a pull has found or made and not committed yet: nothing may take them away. */
  pin(diffIds: readonly string[], blobs: readonly string[] = []): Disposable {
    return this.#pinned.hold([...diffIds, ...blobs]);
  }

  async #writeBack(signal: AbortSignal): Promise<void> {
    const unsynced = [...this.#layers].filter(([, layer]) => layer.unsyncedIn !== undefined);
    if (unsynced.length === 0) return;
    await run('sync', ['-f', this.layersDir], { timeoutMs: SYNC_TIMEOUT_MS, signal });
    for (const [diffId, { unsyncedIn: _in, ...synced }] of unsynced) {
      // It may have been dropped meanwhile.
      if (this.#layers.has(diffId)) this.#layers.set(diffId, synced);
    }
    await this.#save({ sync: true });
  }

  #save(options: { readonly sync: boolean }): Promise<void> {
    this.#savedAt = this.#options.clock.now();
    return this.#index.save(options);
  }

  async #load(): Promise<void> {
    const { logger, bootId } = this.#options;
    const index = await readImageIndex(this.#indexPath);
    if (index === undefined) return;
    if (index instanceof Error) {
      const error = errorMessage(index);
      logger.error(
        { path: this.#indexPath, error },
        'the index of images is damaged; images will be pulled again',
      );
      return;
    }
    for (const [reference, image] of Object.entries(index.images))
      this.#images.set(reference, image);
    for (const [diffId, layer] of Object.entries(index.layers)) {
      const isWhole = layer.unsyncedIn === undefined || layer.unsyncedIn === bootId;
      if (isWhole) this.#layers.set(diffId, layer);
    }
    this.#nextLayer = index.nextLayer;
  }

  async #removeGarbage(): Promise<void> {
    const known = new Set([...this.#layers.values()].map((layer) => layer.name));
    const present = await readdir(this.layersDir);
    for (const name of present) {
      if (!known.has(name)) await rm(join(this.layersDir, name), { recursive: true, force: true });
    }
    for (const [diffId, { name }] of this.#layers) {
      if (!present.includes(name)) this.#layers.delete(diffId);
    }
  }

  /** Of downloads, whole ones too, that no image came of and nobody went on with. */
  async #removeOldDownloads(): Promise<void> {
    const before = this.#options.clock.now() - PARTIAL_KEPT_MS;
    const partials = await readdir(this.#partialsDir);
    const blobs = [...this.#images.values()].flatMap((image) => image.blobs);
    const paths = [
      ...partials.map((name) => join(this.#partialsDir, name)),
      ...(await this.#blobsBut([...this.#documents(), ...blobs])),
    ];
    for (const path of paths) {
      if ((await stat(path)).mtimeMs < before) await rm(path, { force: true });
    }
  }
}

async function removeAll(paths: readonly string[]): Promise<number> {
  let freed = 0;
  for (const path of paths) {
    freed += (await stat(path)).size;
    await rm(path, { force: true });
  }
  return freed;
}
