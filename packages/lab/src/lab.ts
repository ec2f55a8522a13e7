/** A whole lab: switch, registry, client and the hosts of one cluster; up, down, break, heal. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';

import { silentLogger, SwarmError, type Logger } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { removeCgroups } from './cgroup.ts';
import { Cluster } from './cluster.ts';
import { allEnded } from './condition.ts';
import { Host } from './host.ts';
import { fillDisk, hangDisk, hasDisk, healDisk, slowDisk, thawDisk } from './disk.ts';
import { buildImages } from './images.ts';
import { checkOptions, Layout, STATE_ROOT, type LabOptions } from './layout.ts';
import { linkFaults, setLinkFaults, type LinkFault } from './links.ts';
import { killIfAlive } from './process-identity.ts';
import { installProgram, uninstallProgram } from './program.ts';
import { ensureRegistry } from './registry.ts';
import { ensureSwitch, labNamespaces } from './switch.ts';

export class Lab {
  readonly layout: Layout;
  readonly nodes: readonly Host[];
  readonly registry: Host;
  /** A machine outside the cluster, behind a router. */
  readonly client: Host;
  readonly cluster: Cluster;
  readonly #logger: Logger;

  constructor(options: LabOptions, logger: Logger = silentLogger) {
    const problem = checkOptions(options);
    if (problem !== undefined) throw new SwarmError('invalid-argument', problem);
    this.layout = new Layout(options);
    this.#logger = logger;
    this.nodes = this.layout.nodes().map((place) => new Host(this.layout, place, logger));
    this.registry = new Host(this.layout, this.layout.registry, logger);
    this.client = new Host(this.layout, this.layout.client, logger);
    this.cluster = new Cluster(this.layout, this.nodes, logger);
  }

  /** The lab that `up` made under this name, or undefined. */
  static open(name: string, logger: Logger = silentLogger): Lab | undefined {
    const file = `${STATE_ROOT}/${name}/lab.json`;
    if (!existsSync(file)) return undefined;
    return new Lab(JSON.parse(readFileSync(file, 'utf8')) as LabOptions, logger);
  }

  get hosts(): readonly Host[] {
    return [...this.nodes, this.registry, this.client];
  }

  /** @throws SwarmError `not-found` that lists the hosts there are. */
  host(name: string): Host {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (host === undefined) {
      const names = this.hosts.map((candidate) => candidate.name).join(' ');
      throw new SwarmError(
        'not-found',
        `no host "${name}" in lab ${this.layout.options.name}; there are: ${names}`,
      );
    }
    return host;
  }

  /**
   * Brings everything up that is not: safe to call again after an interruption, or when all is
   * well. `cluster: false` leaves it at machines with a running, unjoined swarmd.
   */
  async up(options: { cluster?: boolean } = {}): Promise<void> {
    const { stateDir } = this.layout;
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(`${stateDir}/lab.json`, `${JSON.stringify(this.layout.options)}\n`);
    const names = [
      '127.0.0.1 localhost',
      ...this.hosts.map(({ place }) => `${place.address} ${place.name}`),
    ];
    writeFileSync(`${stateDir}/hosts`, `${names.join('\n')}\n`);

    this.#logger.info({}, 'building the network and the images');
    await ensureSwitch(this.layout);
    if (this.nodes.every((host) => host.initPid === undefined)) uninstallProgram(this.layout);
    installProgram(this.layout);
    const images = await buildImages();
    await allEnded([
      ensureRegistry(this.layout, this.registry, images),
      this.client.powerOn(),
      ...this.nodes.map((host) => host.powerOn()),
    ]);
    this.#logger.info({ hosts: this.nodes.length }, 'hosts are on, starting swarmd');
    await allEnded(this.nodes.map((host) => this.cluster.startDaemon(host)));
    if (options.cluster !== false) await this.cluster.form();
  }

  /** Removes processes, mounts, namespaces, cgroups and files of this lab, whatever state they are in. */
  async down(): Promise<void> {
    for (const host of this.hosts) {
      const pid = host.initPid;
      if (pid === undefined) continue;
      if (hasDisk(host)) await thawDisk(host);
      killIfAlive(pid);
    }
    for (const host of this.hosts) await host.powerOff();
    for (const netns of await labNamespaces(this.layout)) {
      const { stdout } = await run('ip', ['netns', 'pids', netns]);
      for (const pid of stdout.split('\n').filter(Boolean)) killIfAlive(Number(pid));
      await run('ip', ['netns', 'del', netns]);
    }
    await removeCgroups(this.layout.cgroup);
    rmSync(this.layout.stateDir, { recursive: true, force: true });
    removeIfEmpty(STATE_ROOT);
  }

  /** Pulls the plug of a host: everything on it dies at once and its cable goes dark. */
  async kill(name: string): Promise<void> {
    await this.host(name).powerOff();
  }

  /** Freezes every process of a host, containers included; its network stack lives on. */
  async pause(name: string): Promise<void> {
    await this.host(name).signalAll('STOP');
  }

  /** Pulls a host's cable. */
  async cut(name: string): Promise<void> {
    await this.host(name).cutCable();
  }

  /** Freezes the daemon with its manager, as a stalled virtual machine would be; containers run on. */
  async stop(name: string): Promise<void> {
    await this.host(name).signalService('swarmd', 'STOP');
  }

  /** kill -9 of the daemon with its manager. */
  async crash(name: string): Promise<void> {
    await this.host(name).killService('swarmd');
  }

  /** Breaks links, beside what is broken already. */
  async breakLinks(faults: readonly LinkFault[]): Promise<void> {
    for (const name of faults.flatMap(({ from, to }) => [from, to]))
      if (name !== '*') this.host(name);
    const kept = linkFaults(this.layout).filter(
      (old) => !faults.some((fault) => fault.from === old.from && fault.to === old.to),
    );
    await setLinkFaults(this.layout, [...kept, ...faults]);
  }

  /** Mends all links, or those of some hosts. */
  async mendLinks(of?: readonly string[]): Promise<void> {
    const faults = linkFaults(this.layout);
    const kept =
      of === undefined
        ? []
        : faults.filter(({ from, to }) => !of.includes(from) && !of.includes(to));
    if (kept.length < faults.length) await setLinkFaults(this.layout, kept);
  }

  /** The host's disk is full, hangs, or is slow. @throws SwarmError `failed-precondition` without disks. */
  async spoilDisk(name: string, how: 'fill' | 'hang' | 'slow'): Promise<void> {
    const host = this.host(name);
    if (!hasDisk(host))
      throw new SwarmError(
        'failed-precondition',
        `${name} has no disk of its own; make the lab with: scripts/lab up --disk 256`,
      );
    await { fill: fillDisk, hang: hangDisk, slow: slowDisk }[how](host);
  }

  /** Undoes everything above: power on, thaw, mend, plug in, and start swarmd if it does not run. */
  async heal(name: string): Promise<void> {
    const host = this.host(name);
    await this.mendLinks([name]);
    if (host.initPid === undefined) {
      await host.powerOn();
    } else {
      if (hasDisk(host)) await healDisk(host);
      await host.signalAll('CONT');
      await host.healCable();
    }
    if (host.place.role === 'manager' || host.place.role === 'worker')
      await this.cluster.startDaemon(host);
    if (host.place.role === 'registry') await ensureRegistry(this.layout, host, []);
  }
}

function removeIfEmpty(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
}
