/** A container's root: an overlay of the image's layers and a directory of its own. */
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';

import type { Mounter } from '../files/mounter.ts';
import type { IdMapping } from '../userns/id-mapping.ts';
import { withMappedLayers } from '../userns/idmapped-layers.ts';
import { ownerOf } from '../userns/owners.ts';

import type { ContainerPaths } from './paths.ts';
import { copyLayers } from './plain-root.ts';

/** How roots are made: overlayfs, or a plain copy of all layers (vfs) where that is missing. */
export type StorageDriver = 'overlay' | 'vfs';

export interface LayerStore {
  readonly layersDir: string;
  readonly storage: StorageDriver;
  readonly mounter: Mounter;
  /** Directories of a layer that show nothing of those below it. */
  readonly opaqueIn: (layer: string) => readonly string[];
}

/**
 * @param image names in `layersDir`, lowest first, and how ids of a remapped container are shifted.
 * @throws SwarmError `failed-precondition` when they cannot be.
 */
export async function makeRoot(
  paths: ContainerPaths,
  { layersDir, storage, opaqueIn, mounter }: LayerStore,
  { layers, mapping }: { layers: readonly string[]; mapping: IdMapping | undefined },
): Promise<void> {
  if (storage === 'overlay') {
    await mountRoot(paths, { layersDir, layers, mapping, mounter });
    return;
  }
  if (mapping !== undefined) {
    throw new SwarmError(
      'failed-precondition',
      '--userns remap needs the storage driver overlay; this node has vfs',
    );
  }
  await mkdir(paths.merged, { recursive: true, mode: 0o755 });
  const plain = layers.map((name) => ({ path: join(layersDir, name), opaque: opaqueIn(name) }));
  await copyLayers(plain, paths.merged);
}

interface RootLayers {
  readonly layersDir: string;
  readonly layers: readonly string[];
  readonly mapping: IdMapping | undefined;
  readonly mounter: Mounter;
}

async function mountRoot(paths: ContainerPaths, image: RootLayers): Promise<void> {
  const { layersDir, mapping, mounter } = image;
  const empty = `${paths.state}/empty`;
  await Promise.all(
    [paths.upper, paths.work, paths.merged, ...(image.layers.length === 0 ? [empty] : [])].map(
      (folder) => mkdir(folder, { recursive: true, mode: 0o755 }),
    ),
  );
  await copyRootAttributes(image, paths.upper);
  // overlayfs refuses one directory twice. The highest of equal layers decides what is seen.
  const lower = [...new Set([...image.layers].reverse())];
  const mount = async (cwd: string, folders: readonly string[]): Promise<void> => {
    const options = [
      `lowerdir=${folders.length === 0 ? empty : folders.join(':')}`,
      `upperdir=${paths.upper}`,
      `workdir=${paths.work}`,
    ];
    await mounter.mount({
      type: 'overlay',
      source: 'overlay',
      target: paths.merged,
      options: options.join(','),
      // All options must fit a page.
      cwd,
    });
  };
  if (mapping === undefined || lower.length === 0) {
    await mount(layersDir, lower);
    return;
  }
  const layers = lower.map((name) => join(layersDir, name));
  await withMappedLayers({ layers, mapping, mounter, folder: paths.mapped }, () =>
    mount(
      paths.mapped,
      lower.map((_, index) => String(index)),
    ),
  );
}

/** The root directory itself is the upper one: it looks as the image's highest layer has it. */
async function copyRootAttributes(image: RootLayers, upper: string): Promise<void> {
  const top = image.layers.at(-1);
  if (top === undefined) return;
  const { mode, ...owner } = await stat(join(image.layersDir, top));
  const { uid, gid } = ownerOf(image.mapping, owner);
  await chown(upper, uid, gid);
  await chmod(upper, mode & 0o7777);
}
