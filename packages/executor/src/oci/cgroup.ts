/**
 * The cgroup layout of this machine and what a container's cgroup tells. The runtime makes and fills
 * containers' cgroups; here they are only read, and removed when a runtime left them behind.
 */
import { readdirSync, rmdirSync, statfsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { errorMessage, sleep, SwarmError, type Clock } from '@swarmd/base';

import { errnoOf } from '../files/atomic-file.ts';
import { isThereNow, removeNow, textNow, writeNow } from '../files/memory-file.ts';
import { ioWeightFiles, type IoWeightFile } from './io-weight.ts';
import type { LimitsContext } from './limit-files.ts';
import { CGROUP_REMOVE_ROUNDS, FREEZE_TIMEOUT_MS, KILL_LOOK_MS } from '../limits.ts';

const ROOT = '/sys/fs/cgroup';
/** statfs(2) of a version 2 hierarchy; linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270;
/** What containers' limits need. */
const CONTROLLERS = ['cpu', 'memory', 'pids'];
/** What some limits need that not every kernel has. */
const MORE_CONTROLLERS = ['cpuset', 'io'];

export type CgroupLayout =
  | { readonly version: 2 }
  /** The controllers' folders below /sys/fs/cgroup. */
  | { readonly version: 1; readonly hierarchies: readonly string[] };

/**
 * @param mountinfo text of /proc/self/mountinfo.
 * @throws SwarmError `failed-precondition` saying what to do, for layouts the runtime refuses.
 */
export function cgroupLayout(mountinfo: string, unifiedControllers: string): CgroupLayout {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const target = before.split(' ')[4];
    const type = after.split(' ')[0];
    return target === undefined || !target.startsWith(ROOT) ? [] : [{ target, type }];
  });
  const last = mounts.findLast((mount) => mount.target === ROOT);
  if (last?.type === 'cgroup2') return { version: 2 };
  const hierarchies = mounts
    .filter((mount) => mount.type === 'cgroup')
    .map((mount) => mount.target);
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  if (hierarchies.length === 0) {
    throw new SwarmError(
      'failed-precondition',
      `no cgroups are mounted at ${ROOT}; mount them, e.g. "mount -t cgroup2 cgroup2 ${ROOT}"`,
    );
  }
  if (unified !== undefined && unifiedControllers.trim() !== '') {
    throw new SwarmError(
      'failed-precondition',
      `cgroups are mounted both as version 1 and, with the controllers "${unifiedControllers.trim()}", as version 2 at ${unified.target}; ` +
        `the container runtime refuses this layout. Boot with systemd.unified_cgroup_hierarchy=1, or start the daemon in a mount namespace of its own ` +
        `without that mount: unshare --mount --propagation private sh -c 'umount ${unified.target}; exec swarmd ...' (never remove the folder itself)`,
    );
  }
  for (const needed of CONTROLLERS) {
    if (
      !hierarchies.some((path) =>
        path
          .slice(ROOT.length + 1)
          .split(',')
          .includes(needed),
      )
    ) {
      throw new SwarmError(
        'failed-precondition',
        `the cgroup controller "${needed}" is not mounted below ${ROOT}`,
      );
    }
  }
  return { version: 1, hierarchies };
}

export class Cgroups {
  readonly layout: CgroupLayout;
  readonly #parent: string;
  /** False where the kernel does not count swap. */
  readonly #canLimitSwap: boolean;
  /** None where the kernel has no weights of block devices. */
  readonly #ioWeights: readonly IoWeightFile[];

  private constructor(
    layout: CgroupLayout,
    parent: string,
    can: { readonly limitSwap: boolean; readonly ioWeights: readonly IoWeightFile[] },
  ) {
    this.layout = layout;
    this.#parent = parent;
    this.#canLimitSwap = can.limitSwap;
    this.#ioWeights = can.ioWeights;
  }

  get abilities(): {
    readonly canLimitSwap: boolean;
    readonly ioWeights: readonly IoWeightFile[];
  } {
    return { canLimitSwap: this.#canLimitSwap, ioWeights: this.#ioWeights };
  }

  /**
   * @param parent absolute within the hierarchies, e.g. "/swarmd".
   * @throws SwarmError `failed-precondition` saying what this machine lacks.
   */
  static async detect(parent: string): Promise<Cgroups> {
    const unified = textNow(join(ROOT, 'unified', 'cgroup.controllers'));
    const layout = cgroupLayout(textNow('/proc/self/mountinfo'), unified);
    if (layout.version === 2) await delegateControllers(join(ROOT, parent));
    // Version 2's root has no such file, so the parent is looked at.
    const swapFile =
      layout.version === 2 ? join(parent, 'memory.swap.max') : 'memory/memory.memsw.limit_in_bytes';
    const canLimitSwap = isThereNow(join(ROOT, swapFile));
    const io = layout.version === 2 ? parent : 'blkio';
    const ioWeights = ioWeightFiles(layout.version, (sign) => isThereNow(join(ROOT, io, sign)));
    return new Cgroups(layout, parent, { limitSwap: canLimitSwap, ioWeights });
  }

  /** As `linux.cgroupsPath` wants it. */
  pathOf(id: string): string {
    return join(this.#parent, id);
  }

  /** Whether the kernel has killed one of the container's processes for want of memory. */
  oomKilled(id: string): boolean {
    const file = this.layout.version === 2 ? 'memory.events' : 'memory.oom_control';
    return /^oom_kill [1-9]/m.test(textNow(join(ROOT, this.#memory, this.pathOf(id), file)));
  }

  /** Pids in the container's cgroup, empty when it is gone. */
  processes(id: string): readonly number[] {
    return textNow(join(ROOT, this.#memory, this.pathOf(id), 'cgroup.procs'))
      .split('\n')
      .filter(Boolean)
      .map(Number);
  }

  /** Stops or lets go all processes of the container. @throws SwarmError `failed-precondition`. */
  freeze(id: string, isFrozen: boolean): void {
    const { file, states } = this.#freezer;
    const path = join(ROOT, file(this.pathOf(id)));
    try {
      writeNow(path, isFrozen ? states.frozen : states.thawed);
    } catch (cause) {
      // Without a freezer nothing can be frozen; nor can anything in a cgroup that is gone.
      if (['ENOENT', 'ENODEV'].includes(errnoOf(cause)) && !isFrozen) return;
      throw new SwarmError(
        'failed-precondition',
        `container ${id} cannot be paused: ${path} cannot be written (${errnoOf(cause)})`,
        { cause },
      );
    }
  }

  isFrozen(id: string): boolean {
    const { file, states } = this.#freezer;
    const state = textNow(join(ROOT, file(this.pathOf(id)))).trim();
    // Version 1 says FREEZING until the last process has stopped.
    return state !== '' && state !== states.thawed;
  }

  /** Resolves once the last process has stopped. @throws SwarmError `deadline-exceeded`. */
  async frozen(id: string, clock: Clock): Promise<void> {
    const { signal } = new AbortController();
    for (let left = FREEZE_TIMEOUT_MS; left > 0; left -= KILL_LOOK_MS) {
      const state =
        this.layout.version === 2
          ? /^frozen 1$/m.test(this.read(id, '', 'cgroup.events'))
          : this.read(id, 'freezer', 'freezer.state').trim() === 'FROZEN';
      if (state) return;
      await sleep(clock, KILL_LOOK_MS, signal);
    }
    throw new SwarmError(
      'deadline-exceeded',
      `the processes of container ${id} did not stop within ${FREEZE_TIMEOUT_MS} ms; one hangs in the kernel`,
    );
  }

  /** A file of the container's cgroup; empty when there is none. @param controller as version 1 names it. */
  read(id: string, controller: string, file: string): string {
    const folder = this.layout.version === 2 ? '' : controller;
    return textNow(join(ROOT, folder, this.pathOf(id), file));
  }

  /** Not at once: for a lower limit the kernel may have to write memory out first. */
  async write(
    id: string,
    { controller, file }: { readonly controller: string; readonly file: string },
    text: string,
  ): Promise<void> {
    const folder = this.layout.version === 2 ? '' : controller;
    await writeFile(join(ROOT, folder, this.pathOf(id), file), text);
  }

  /** What a change of the container's limits has to know. */
  limitsContext(id: string): LimitsContext {
    const { version } = this.layout;
    const cpus = version === 2 ? 'cpuset.cpus.effective' : 'cpuset/cpuset.cpus';
    const both = this.read(id, 'memory', 'memory.memsw.limit_in_bytes');
    return {
      version,
      ...this.abilities,
      allCpus: textNow(join(ROOT, cpus)).trim(),
      memoryAndSwap: Number(both),
    };
  }

  /** Removes empty cgroups of the container that a runtime left behind. */
  async remove(id: string, clock: Clock): Promise<void> {
    const roots = this.layout.version === 2 ? [ROOT] : this.layout.hierarchies;
    for (const root of roots) await removeCgroup(join(root, this.pathOf(id)), clock);
    if (this.layout.version === 1) this.#removeStub(id);
  }

  /**
   * crun takes the folder `unified` for a version 2 mount even where that has been unmounted, and so
   * leaves plain files there, on the tmpfs that holds all the mount points.
   */
  #removeStub(id: string): void {
    const unified = join(ROOT, 'unified');
    if (!isThereNow(unified) || statfsSync(unified).type === CGROUP2_MAGIC) return;
    removeNow(join(unified, this.pathOf(id)));
    try {
      rmdirSync(join(unified, this.#parent));
    } catch (error) {
      if (!['ENOENT', 'ENOTEMPTY'].includes(errnoOf(error))) throw error;
    }
  }

  get #freezer(): {
    file: (path: string) => string;
    states: { frozen: string; thawed: string };
  } {
    return this.layout.version === 2
      ? { file: (path) => join(path, 'cgroup.freeze'), states: { frozen: '1', thawed: '0' } }
      : {
          file: (path) => join('freezer', path, 'freezer.state'),
          states: { frozen: 'FROZEN', thawed: 'THAWED' },
        };
  }

  get #memory(): string {
    return this.layout.version === 2 ? '' : 'memory';
  }
}

/**
 * A version 2 cgroup has the controllers that its parent names in `cgroup.subtree_control`, so all from
 * the root down to `path` have to (the kernel's cgroup-v2.rst, "Top-down Constraint"). The runtime does this as well,
 * but by then a container fails instead of the start of the daemon.
 */
async function delegateControllers(path: string): Promise<void> {
  if (path !== ROOT) {
    await delegateControllers(dirname(path));
    await mkdir(path, { recursive: true });
  }
  const words = async (file: string): Promise<readonly string[]> =>
    (await readFile(join(path, file), 'utf8')).trim().split(' ');
  const available = await words('cgroup.controllers');
  const missing = CONTROLLERS.filter((name) => !available.includes(name));
  if (missing.length > 0) {
    throw new SwarmError(
      'failed-precondition',
      `the cgroup ${path} lacks the controllers ${missing.join(', ')}: they are not in the kernel, mounted as version 1, or not delegated ` +
        `(systemd: Delegate=yes; compare ${ROOT}/cgroup.controllers)`,
    );
  }
  const given = await words('cgroup.subtree_control');
  const possible = MORE_CONTROLLERS.filter((name) => available.includes(name));
  const wanted = [...CONTROLLERS, ...possible]
    .filter((name) => !given.includes(name))
    .map((name) => `+${name}`);
  if (wanted.length === 0) return;
  try {
    await writeFile(join(path, 'cgroup.subtree_control'), wanted.join(' '));
  } catch (cause) {
    const why =
      errnoOf(cause) === 'EBUSY'
        ? 'processes are in it, and a cgroup has either processes or controllers for its children; move them to a cgroup of their own'
        : errorMessage(cause);
    throw new SwarmError(
      'failed-precondition',
      `the cgroup ${path} cannot hand down its controllers: ${why}`,
      { cause },
    );
  }
}

/**
 * Most have nothing below them, so that is tried first. EBUSY says that there is something, or that processes that
 * were just killed hold it for some milliseconds more.
 */
async function removeCgroup(path: string, clock: Clock): Promise<void> {
  const { signal } = new AbortController();
  for (let round = 1; ; round += 1) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      if (errnoOf(error) !== 'EBUSY' || round === CGROUP_REMOVE_ROUNDS) throw error;
    }
    const below = foldersIn(path);
    for (const name of below) await removeCgroup(join(path, name), clock);
    if (below.length === 0 || round > 1) await sleep(clock, KILL_LOOK_MS, signal);
  }
}

function foldersIn(path: string): readonly string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
