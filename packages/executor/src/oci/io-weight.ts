/**
 * Weights of block devices. Version 2 of cgroups has two files for them, by what the device is scheduled with: the
 * cost model and BFQ; a kernel has one, both or none, and runtimes write the one that they know best. Pure.
 */

/** By file of a cgroup: what Docker's 10 to 1000 is there; of version 1 without the controller's name. */
const VALUES = {
  'blkio.weight': (weight = 500) => `${weight}`,
  'io.bfq.weight': (weight = 100) => `default ${weight}`,
  // From 1 to 10000; converted as crun(1) and runc do.
  'io.weight': (weight) =>
    `default ${weight === undefined ? 100 : 1 + Math.floor(((weight - 10) * 9_999) / 990)}`,
} as const satisfies Record<string, (weight?: number) => string>;

export type IoWeightFile = keyof typeof VALUES;

/** Those that there may be. */
export function ioWeightFiles(version: 1 | 2): readonly IoWeightFile[] {
  return version === 1 ? ['blkio.weight'] : ['io.weight', 'io.bfq.weight'];
}

/** @param weight 10 to 1000; undefined: the kernel's default. */
export function ioWeightValue(file: IoWeightFile, weight: number | undefined): string {
  return VALUES[file](weight);
}
