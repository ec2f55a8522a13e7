/** The in-memory twin of the images: names without bytes. */
import { createHash } from 'node:crypto';

import { SwarmError } from '@swarmd/base';
import type { LayerProgress } from '@swarmd/model';

import { noSuchImage } from '../image/no-such-image.ts';
import { canonicalReference, parseReference, pinnedReference } from '../image/reference.ts';
import type { ImageDetails, ImageInfo, Images, ImportOptions } from '../types.ts';
import type { MemoryMachine } from './memory-machine.ts';

export class MemoryImages implements Images {
  readonly #machine: MemoryMachine;

  constructor(machine: MemoryMachine) {
    this.#machine = machine;
  }

  async list(): Promise<readonly ImageInfo[]> {
    const containers = [...this.#machine.containers.values()];
    const used = new Set(containers.map(({ request }) => canonical(request.spec.image)));
    return [...this.#machine.images].sort().map((reference) => ({
      reference,
      digest: '',
      id: '',
      bytes: 0,
      pulledAt: 0,
      usedAt: 0,
      used: used.has(reference),
    }));
  }

  async inspect(reference: string): Promise<ImageInfo> {
    const found = (await this.list()).find((image) => image.reference === canonical(reference));
    if (found !== undefined) return found;
    throw noSuchImage(parseReference(reference), this.#machine.images);
  }

  async resolve(reference: string): Promise<string> {
    if (parseReference(reference).digest !== undefined) return reference;
    await Promise.resolve();
    requireOffered(this.#machine, canonical(reference));
    return pinnedReference(reference, digestOf(canonical(reference)));
  }

  /** Registries have no guards here. */
  async checkAuth(): Promise<void> {
    await Promise.resolve();
  }

  /** A pull takes no time here. */
  pullProgress(): undefined {
    return undefined;
  }

  /** Nothing is removed by itself here. */
  hold(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async details(reference: string): Promise<ImageDetails> {
    const info = await this.inspect(reference);
    return { ...info, names: [info.reference], config: '{}', layers: [] };
  }

  async *push(reference: string): AsyncGenerator<readonly LayerProgress[]> {
    await this.inspect(reference);
    yield [];
  }

  /** The names, one a line: images have no bytes here. */
  async *save(references: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const reference of references) {
      yield Buffer.from(`${(await this.inspect(reference)).reference}\n`);
    }
  }

  async load(archive: AsyncIterable<Uint8Array>): Promise<readonly string[]> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of archive) chunks.push(chunk);
    const names = Buffer.concat(chunks).toString().split('\n').filter(Boolean);
    for (const name of names) this.#machine.images.add(canonical(name));
    return names;
  }

  async import(archive: AsyncIterable<Uint8Array>, { reference }: ImportOptions): Promise<string> {
    for await (const _chunk of archive);
    const name = canonical(reference);
    this.#machine.images.add(name);
    return name;
  }

  async tag(reference: string, target: string): Promise<void> {
    await this.inspect(reference);
    this.#machine.images.add(canonical(target));
  }

  async remove(reference: string): Promise<number> {
    const image = await this.inspect(reference);
    if (image.used) throw new SwarmError('failed-precondition', `image ${reference} is in use`);
    this.#machine.images.delete(image.reference);
    return 0;
  }

  async prune(): Promise<{ readonly references: readonly string[]; readonly freedBytes: number }> {
    const idle = (await this.list()).filter((image) => !image.used);
    for (const { reference } of idle) this.#machine.images.delete(reference);
    return { references: idle.map(({ reference }) => reference), freedBytes: 0 };
  }
}

function canonical(reference: string): string {
  return canonicalReference(parseReference(reference));
}

/** Images have no bytes here: their digest is made of their name. */
function digestOf(reference: string): string {
  return `sha256:${createHash('sha256').update(reference).digest('hex')}`;
}

/** @throws SwarmError `not-found` when no registry has it, by its name or by its digest. */
export function requireOffered(machine: MemoryMachine, reference: string): void {
  const offered = machine.options.images?.map(canonical);
  const has = (name: string): boolean => name === reference || reference.endsWith(digestOf(name));
  if (offered === undefined || offered.some(has)) return;
  throw new SwarmError('not-found', `image ${reference}: no registry has it`);
}
