/**
 * Where everything of a lab is: names of namespaces, addresses, folders. Pure, so that `down` finds
 * whatever an interrupted `up` left behind without any record of it.
 */

/** A lab's name is part of every namespace name; several labs can live side by side. */
export interface LabOptions {
  readonly name: string;
  readonly managers: number;
  readonly workers: number;
  /** Size of a file system of its own for each host's state; without, it is a folder of this machine. */
  readonly diskMiB?: number;
  /** Hosts send each other containers' packets by IPv6. */
  readonly dataPath6?: boolean;
}

export interface HostPlace {
  readonly name: string;
  readonly role: 'manager' | 'worker' | 'registry' | 'client';
  /** Underlay address without prefix length. */
  readonly address: string;
  /** The same of IPv6: hosts have both families. */
  readonly address6: string;
  /** Name of its network namespace. */
  readonly netns: string;
}

/** First three bytes of the underlay; it exists only inside the lab's own namespaces. */
const UNDERLAY = '10.77.0';
const UNDERLAY6 = '2001:db8:77:';
/** The client stands behind a router, so that its address is foreign to every host. */
const OUTSIDE = '203.0.113';
const OUTSIDE6 = '2001:db8:113:';

/** Addresses of the router on either side. */
export const SWITCH = { address: `${UNDERLAY}.1`, address6: `${UNDERLAY6}:1` };
export const ROUTER_OUTSIDE = { address: `${OUTSIDE}.1`, address6: `${OUTSIDE6}:1` };
export const REGISTRY_PORT = 5000;
const MANAGERS_MAX = 7;
const WORKERS_MAX = 100;
/** ext4 with its journal, a log and some images. */
const DISK_MIN_MIB = 32;

export const STATE_ROOT = '/var/lib/swarmd-lab';
export const CACHE_DIR = '/var/cache/swarmd-lab';

export class Layout {
  readonly options: LabOptions;

  constructor(options: LabOptions) {
    this.options = options;
  }

  get stateDir(): string {
    return `${STATE_ROOT}/${this.options.name}`;
  }

  /** Cgroup path, below every controller's mount, that holds all cgroups of this lab. */
  get cgroup(): string {
    return `swarmd-lab-${this.options.name}`;
  }

  get switchNetns(): string {
    return this.netns('sw');
  }

  get registry(): HostPlace {
    return {
      name: 'registry',
      role: 'registry',
      address: `${UNDERLAY}.5`,
      address6: `${UNDERLAY6}:5`,
      netns: this.netns('registry'),
    };
  }

  /** host:port as image references name it. */
  get registryEndpoint(): string {
    return `${this.registry.address}:${REGISTRY_PORT}`;
  }

  /** Of a second registry, that tests may start, with a guard: user "ann", password "pass". */
  get guardedEndpoint(): string {
    return `${this.registry.address}:${REGISTRY_PORT + 1}`;
  }

  get client(): HostPlace {
    return {
      name: 'c1',
      role: 'client',
      address: `${OUTSIDE}.10`,
      address6: `${OUTSIDE6}:10`,
      netns: this.netns('c1'),
    };
  }

  netns(host: string): string {
    return `swl-${this.options.name}-${host}`;
  }

  /** The hosts that run swarmd: m1, m2, ..., w1, w2, ... */
  nodes(): HostPlace[] {
    const place = (role: 'manager' | 'worker', index: number): HostPlace => {
      const name = `${role === 'manager' ? 'm' : 'w'}${index}`;
      const last = (role === 'manager' ? 10 : 100) + index;
      const [address, address6] = [`${UNDERLAY}.${last}`, `${UNDERLAY6}:${last}`];
      return { name, role, address, address6, netns: this.netns(name) };
    };
    const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
    return [
      ...count(this.options.managers).map((i) => place('manager', i)),
      ...count(this.options.workers).map((i) => place('worker', i)),
    ];
  }

  hostDir(host: string): string {
    return `${this.stateDir}/${host}`;
  }

  /** Name of a host's port on the switch. */
  port(host: string): string {
    return `p-${host}`;
  }
}

/** @returns what is wrong with these options, or undefined. */
export function checkOptions(options: LabOptions): string | undefined {
  if (!/^[a-z][a-z0-9]{0,11}$/.test(options.name)) {
    return `lab name "${options.name}": use 1 to 12 lower-case letters and digits, starting with a letter`;
  }
  if (options.managers < 1 || options.managers > MANAGERS_MAX)
    return `--managers takes 1 to ${MANAGERS_MAX}`;
  if (options.workers < 0 || options.workers > WORKERS_MAX)
    return `--workers takes 0 to ${WORKERS_MAX}`;
  if (options.diskMiB !== undefined && options.diskMiB < DISK_MIN_MIB)
    return `--disk takes a size in MiB, at least ${DISK_MIN_MIB}`;
  return undefined;
}
