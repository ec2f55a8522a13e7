/** How far a pull is, in words. Pure. */
import type { LayerProgress } from '@swarmd/model';

const MEGABYTE = 1e6;

/** "pulling 34 of 120 MB"; undefined while nothing is known to come. */
export function pullMessage(layers: readonly LayerProgress[] | undefined): string | undefined {
  const missing = layers?.filter(({ state }) => state !== 'present') ?? [];
  if (layers === undefined || missing.length === 0) return undefined;
  const sum = (of: (layer: LayerProgress) => number): number =>
    Math.round(layers.reduce((total, layer) => total + of(layer), 0) / MEGABYTE);
  return `pulling ${sum(({ bytes }) => bytes)} of ${sum(({ totalBytes }) => totalBytes)} MB`;
}
