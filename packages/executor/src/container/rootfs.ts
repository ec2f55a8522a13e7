/** A container's root: an overlay of the image's layers and a directory of its own. */
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '@swarmd/base/system';

import type { ContainerPaths } from './paths.ts';
import { copyLayers } from './plain-root.ts';

/** How roots are made: overlayfs, or a plain copy of all layers (vfs) where that is missing. */
export type StorageDriver = 'overlay' | 'vfs';

export interface LayerStore {
  readonly layersDir: string;
  readonly storage: StorageDriver;
  /** Directories of a layer that show nothing of those below it. */
  readonly opaqueIn: (layer: string) => readonly string[];
}

/** @param layers names in `layersDir`, lowest first. */
export async function makeRoot(
  paths: ContainerPaths,
  { layersDir, storage, opaqueIn }: LayerStore,
  layers: readonly string[],
): Promise<void> {
  if (storage === 'overlay') {
    await mountRoot(paths, { layersDir, layers });
    return;
  }
  await mkdir(paths.merged, { recursive: true, mode: 0o755 });
  const plain = layers.map((name) => ({ path: join(layersDir, name), opaque: opaqueIn(name) }));
  await copyLayers(plain, paths.merged);
}

async function mountRoot(
  paths: ContainerPaths,
  image: { readonly layersDir: string; readonly layers: readonly string[] },
): Promise<void> {
  const empty = `${paths.state}/empty`;
  for (const folder of [paths.upper, paths.work, paths.merged, empty]) {
    await mkdir(folder, { recursive: true, mode: 0o755 });
  }
  await copyRootAttributes(image, paths.upper);
  // overlayfs refuses one directory twice. The highest of equal layers decides what is seen.
  const lower = [...new Set([...image.layers].reverse())];
  const options = [
    `lowerdir=${lower.length === 0 ? empty : lower.join(':')}`,
    `upperdir=${paths.upper}`,
    `workdir=${paths.work}`,
  ];
  // Lower directories are relative to the working directory: all options must fit a page.
  const args = ['-t', 'overlay', '-o', options.join(','), 'overlay', paths.merged];
  await run('mount', args, { cwd: image.layersDir });
}

/** The root directory itself is the upper one: it looks as the image's highest layer has it. */
async function copyRootAttributes(
  image: { readonly layersDir: string; readonly layers: readonly string[] },
  upper: string,
): Promise<void> {
  const top = image.layers.at(-1);
  if (top === undefined) return;
  const { uid, gid, mode } = await stat(join(image.layersDir, top));
  await chown(upper, uid, gid);
  await chmod(upper, mode & 0o7777);
}
