/** `images/blobs/sha256`: manifests, configurations, and layers as registries have them, by digest. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';

import { isNotFound, readIfExists, writeAtomically } from '../files/atomic-file.ts';

export class BlobFolder {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder, and removes what was half written when we died. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder)) {
      if (isHalfWritten(name)) await rm(join(this.#folder, name), { force: true });
    }
  }

  /** Where a blob lies if it is kept. */
  path(digest: string): string {
    return join(this.#folder, digest.replace('sha256:', ''));
  }

  /** `bytes` must have been checked against `digest`; they are checked again when read. */
  put(digest: string, bytes: Uint8Array): Promise<void> {
    return writeAtomically(this.path(digest), bytes, { sync: false });
  }

  /** Whether a blob of this size lies there; its content is checked when it is unpacked. */
  async has(digest: string, sizeBytes: number): Promise<boolean> {
    const stats = await stat(this.path(digest)).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    return stats?.size === sizeBytes;
  }

  remove(digest: string): Promise<void> {
    return rm(this.path(digest), { force: true });
  }

  /** A manifest or configuration. @throws SwarmError `data-loss` when it is missing or damaged. */
  async document(digest: string): Promise<Buffer> {
    const bytes = await this.intact(digest);
    if (bytes !== undefined) return bytes;
    throw new SwarmError('data-loss', `document ${digest} of an image is missing; pull it again`);
  }

  /** A document, checked against its digest; undefined when missing or damaged. */
  async intact(digest: string): Promise<Buffer | undefined> {
    const bytes = await readIfExists(this.path(digest));
    if (bytes === undefined) return undefined;
    const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    return actual === digest ? bytes : undefined;
  }

  /** Paths of the blobs that are not kept. */
  async others(isKept: (digest: string) => boolean): Promise<readonly string[]> {
    const names = await readdir(this.#folder);
    // Half-written documents are renamed in a moment.
    const others = names.filter((name) => !isHalfWritten(name) && !isKept(`sha256:${name}`));
    return others.map((name) => join(this.#folder, name));
  }
}

function isHalfWritten(name: string): boolean {
  return name.endsWith('.tmp');
}
