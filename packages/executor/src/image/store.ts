/**
 * Images of this machine: `images/index.json` names what is whole, `images/blobs/` holds manifests
 * and configurations by digest, `l/NAME` one unpacked layer each. The index is written last, so what
 * it does not name is garbage of an interrupted pull and is removed at the next start.
 *
 * Layer directories have names of a few characters because all of them go into one mount option
 * string, which the kernel limits to a page.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';
import { z } from 'zod';

import { readIfExists, writeAtomically } from '../files/atomic-file.ts';
import { parseImageConfig, type ImageConfig } from './manifest.ts';

const storedImage = z.object({
  /** Digest of what the reference named: an index or a manifest. */
  target: z.string(),
  manifest: z.string(),
  config: z.string(),
});
const indexFile = z.object({
  /** By canonical reference. */
  images: z.record(z.string(), storedImage),
  /** Directory name by diffID. */
  layers: z.record(z.string(), z.string()),
  /** The next directory name, as a number. */
  nextLayer: z.int(),
});
export type StoredImage = z.infer<typeof storedImage>;

export interface LocalImage {
  readonly target: string;
  readonly config: ImageConfig;
  /** Names in `layersDir`, lowest first. */
  readonly layers: readonly string[];
}

const TEMPORARY = '.tmp-';

export class ImageStore {
  /** Holds the layer directories; overlay mounts are made with it as working directory. */
  readonly layersDir: string;
  readonly #blobsDir: string;
  readonly #indexPath: string;
  readonly #images = new Map<string, StoredImage>();
  readonly #layers = new Map<string, string>();
  #nextLayer = 1;
  #temporary = 0;
  #saving: Promise<void> = Promise.resolve();

  private constructor(stateDir: string) {
    this.layersDir = join(stateDir, 'l');
    this.#blobsDir = join(stateDir, 'images', 'blobs', 'sha256');
    this.#indexPath = join(stateDir, 'images', 'index.json');
  }

  /** @throws SwarmError `data-loss` when the index is damaged. */
  static async open(stateDir: string): Promise<ImageStore> {
    const store = new ImageStore(stateDir);
    await mkdir(store.layersDir, { recursive: true, mode: 0o711 });
    await mkdir(store.#blobsDir, { recursive: true, mode: 0o700 });
    await store.#load();
    await store.#removeGarbage();
    return store;
  }

  hasLayer(diffId: string): boolean {
    return this.#layers.has(diffId);
  }

  find(reference: string): StoredImage | undefined {
    return this.#images.get(reference);
  }

  /** The image with its parsed configuration; undefined when it is not present. */
  async image(reference: string): Promise<LocalImage | undefined> {
    const stored = this.#images.get(reference);
    if (stored === undefined) return undefined;
    const bytes = await this.blob(stored.config);
    if (bytes === undefined) {
      throw new SwarmError(
        'data-loss',
        `the configuration of image ${reference} is missing; pull it again`,
      );
    }
    const config = parseImageConfig(bytes, `image ${reference}`);
    const layers = config.diffIds.map((diffId) => this.#layers.get(diffId) ?? '');
    if (layers.includes('')) {
      throw new SwarmError('data-loss', `a layer of image ${reference} is missing; pull it again`);
    }
    return { target: stored.target, config, layers };
  }

  /** A stored document, checked against its digest; undefined when missing or damaged. */
  async blob(digest: string): Promise<Buffer | undefined> {
    const bytes = await readIfExists(this.#blobPath(digest));
    if (bytes === undefined) return undefined;
    return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest
      ? bytes
      : undefined;
  }

  /** `bytes` must have been checked against `digest`. */
  putBlob(digest: string, bytes: Uint8Array): Promise<void> {
    return writeAtomically(this.#blobPath(digest), bytes);
  }

  /** A path to unpack a layer into, in the same file system as its later home. */
  temporaryLayer(): string {
    this.#temporary += 1;
    return join(this.layersDir, `${TEMPORARY}${this.#temporary}`);
  }

  /** Takes over an unpacked, checked directory. It counts once `commit` has been called. */
  async adoptLayer(diffId: string, directory: string): Promise<void> {
    const name = this.#nextLayer.toString(36);
    this.#nextLayer += 1;
    await rename(directory, join(this.layersDir, name));
    this.#layers.set(diffId, name);
  }

  /** Makes the image durable: layers are on disk before the index names them. */
  async commit(reference: string, image: StoredImage): Promise<void> {
    await run('sync', ['-f', this.layersDir], { timeoutMs: 300_000 });
    this.#images.set(reference, image);
    this.#saving = this.#saving.then(
      () => this.#save(),
      () => this.#save(),
    );
    await this.#saving;
  }

  #save(): Promise<void> {
    const index: z.infer<typeof indexFile> = {
      images: Object.fromEntries(this.#images),
      layers: Object.fromEntries(this.#layers),
      nextLayer: this.#nextLayer,
    };
    return writeAtomically(this.#indexPath, JSON.stringify(index));
  }

  async #load(): Promise<void> {
    const bytes = await readIfExists(this.#indexPath);
    if (bytes === undefined) return;
    const parsed = parseIndex(bytes);
    if (parsed === undefined) {
      throw new SwarmError(
        'data-loss',
        `the index of images ${this.#indexPath} is damaged; remove it to have the images pulled again`,
      );
    }
    for (const [reference, image] of Object.entries(parsed.images))
      this.#images.set(reference, image);
    for (const [diffId, name] of Object.entries(parsed.layers)) this.#layers.set(diffId, name);
    this.#nextLayer = parsed.nextLayer;
  }

  async #removeGarbage(): Promise<void> {
    const known = new Set(this.#layers.values());
    for (const name of await readdir(this.layersDir)) {
      if (!known.has(name)) await rm(join(this.layersDir, name), { recursive: true, force: true });
    }
    const present = new Set(await readdir(this.layersDir));
    for (const [diffId, name] of this.#layers) {
      if (!present.has(name)) this.#layers.delete(diffId);
    }
  }

  #blobPath(digest: string): string {
    return join(this.#blobsDir, digest.replace('sha256:', ''));
  }
}

function parseIndex(bytes: Buffer): z.infer<typeof indexFile> | undefined {
  try {
    const parsed = indexFile.safeParse(JSON.parse(bytes.toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
