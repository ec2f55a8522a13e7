/**
 * Notes about attached containers, one file each, next to the kernel's state: written when a
 * namespace is complete, removed before it is taken down. A namespace without a note is half made.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { AttachmentNote } from '../desired/attachment.ts';

/**
 * At any time the file has what it had before or all of `text`. At once, as it is on memory (ADR 0028): the
 * pool of threads takes more time than the writing.
 */
export function replaceFile(
  file: string,
  text: string,
  options: { readonly mode?: number } = {},
): void {
  writeFileSync(`${file}.new`, text, options);
  renameSync(`${file}.new`, file);
}

export class Notes {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(runDir: string): Promise<Notes> {
    const folder = join(runDir, 'network', 'attachments');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Half-written ones of an earlier life.
    for (const name of await readdir(folder)) {
      if (name.endsWith('.new')) await rm(join(folder, name), { force: true });
    }
    return new Notes(folder);
  }

  async list(): Promise<AttachmentNote[]> {
    const names = await readdir(this.#folder);
    return Promise.all(
      names
        .filter((name) => name.endsWith('.json'))
        .map(async (name) => JSON.parse(await readFile(join(this.#folder, name), 'utf8'))),
    );
  }

  write(note: AttachmentNote): void {
    replaceFile(this.#fileOf(note.taskId), JSON.stringify(note));
  }

  remove(taskId: string): void {
    rmSync(this.#fileOf(taskId), { force: true });
  }

  #fileOf(taskId: string): string {
    return join(this.#folder, `${taskId}.json`);
  }
}
