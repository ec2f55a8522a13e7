/** `images/index.json`: what of images is whole, and what of that the disk may not have yet. */
import { rm } from 'node:fs/promises';

import { z } from 'zod';

import { readIfExists, writeAtomically } from '../files/atomic-file.ts';

const storedImage = z.object({
  /** Digest of what the reference named: an index or a manifest. */
  target: z.string(),
  manifest: z.string(),
  config: z.string(),
  /** diffIDs, lowest first; empty in entries of earlier versions, whose layers are then kept. */
  layers: z.array(z.string()).default([]),
  /** Digests of the layers' blobs; empty in entries of earlier versions, which did not keep them. */
  blobs: z.array(z.string()).default([]),
  /** Milliseconds since the epoch: when it was pulled, and when a container was last made of it. */
  pulledAt: z.number().default(0),
  usedAt: z.number().default(0),
});
const storedLayer = z.object({
  /** Name of its directory. */
  name: z.string(),
  /** The boot it was unpacked in, as long as the disk may not have all of it. */
  unsyncedIn: z.string().optional(),
  /** On disk, as counted when it was unpacked; absent in layers of earlier versions. */
  bytes: z.number().optional(),
  /** Its directories that show nothing of the layers below. */
  opaque: z.array(z.string()).optional(),
});
const imageIndex = z.object({
  /** By canonical reference. */
  images: z.record(z.string(), storedImage),
  /** By diffID. */
  layers: z.record(z.string(), storedLayer),
  /** The next directory name, as a number. */
  nextLayer: z.int(),
});
export type StoredImage = z.infer<typeof storedImage>;
export type StoredLayer = z.infer<typeof storedLayer>;
export type ImageIndex = z.infer<typeof imageIndex>;

/** Undefined when there is none yet; an error when it is damaged. */
export async function readImageIndex(path: string): Promise<ImageIndex | Error | undefined> {
  const bytes = await readIfExists(path);
  if (bytes === undefined) return undefined;
  try {
    return imageIndex.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Writes the index of an image store, one write after the other, each of what is known when its turn comes. */
export class IndexWriter {
  readonly #path: string;
  readonly #current: () => ImageIndex;
  #saving: Promise<void> = Promise.resolve();

  constructor(path: string, current: () => ImageIndex) {
    this.#path = path;
    this.#current = current;
  }

  save(options: { readonly sync: boolean }): Promise<void> {
    const write = (): Promise<void> =>
      writeAtomically(this.#path, JSON.stringify(this.#current()), options);
    this.#saving = this.#saving.then(write, write);
    return this.#saving;
  }

  /** What was about to be renamed when we died. */
  removeHalfWritten(): Promise<void> {
    return rm(`${this.#path}.tmp`, { force: true });
  }
}
