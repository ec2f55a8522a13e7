/** The in-memory twin of the images: names without bytes. */
import { SwarmError } from '@swarmd/base';

import { canonicalReference, parseReference } from '../image/reference.ts';
import type { ImageInfo, Images } from '../types.ts';
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
    throw new SwarmError('not-found', `there is no image ${reference} on this node`);
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
