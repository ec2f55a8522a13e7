/** Files that are either the old or the new version, whatever happens while they are written. */
import { open, readFile, rename } from 'node:fs/promises';

/** Written beside and renamed. With `sync` the content is on disk before the name is. */
export async function writeAtomically(
  path: string,
  data: string | Uint8Array,
  options: { sync: boolean },
): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(data);
    if (options.sync) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Undefined when the file does not exist. */
export async function readIfExists(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** ENOENT, or a process that ended while its files were read. */
export function isNotFound(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH';
}

/** "ENOENT" and the like, or the empty string. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
