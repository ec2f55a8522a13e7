/**
 * One host of a lab: a network namespace with a cable, and inside it a tree of processes with
 * private mount, pid, uts and ipc namespaces. Killing its PID 1 is pulling the power plug.
 */
import { spawn, type SpawnOptions } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, closeSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { silentLogger, SwarmError, withDeadline, type Logger } from '@swarmd/base';
import { run, systemClock, type RunOptions, type RunResult } from '@swarmd/base/system';

import { removeCgroups } from './cgroup.ts';
import { waitUntil } from './condition.ts';
import { cutDisk, ensureDisk, hasDisk } from './disk.ts';
import type { HostPlace, Layout } from './layout.ts';
import { killIfAlive, recall, remember, startTime } from './process-identity.ts';
import { programPath } from './program.ts';
import { plug, setCable, unplug } from './switch.ts';

const INIT_SCRIPT = fileURLToPath(new URL('../host/init.sh', import.meta.url));
const BOOT_TIMEOUT_MS = 60_000;
const EXEC_TIMEOUT_MS = 180_000;

export class Host {
  readonly place: HostPlace;
  readonly #layout: Layout;
  readonly #logger: Logger;

  constructor(layout: Layout, place: HostPlace, logger: Logger = silentLogger) {
    this.#layout = layout;
    this.place = place;
    this.#logger = logger;
  }

  get name(): string {
    return this.place.name;
  }

  get runsSwarmd(): boolean {
    return this.place.role === 'manager' || this.place.role === 'worker';
  }

  get dir(): string {
    return this.#layout.hostDir(this.name);
  }

  /** Cgroup that swarmd on this host keeps its containers in. */
  get cgroupParent(): string {
    return `/${this.#layout.cgroup}/${this.name}`;
  }

  /** Pid, as this machine sees it, of the host's PID 1; undefined while the host is off. */
  get initPid(): number | undefined {
    return recall(`${this.dir}/init.pid`);
  }

  /** Switches the host on unless it is. Its disk (the state folder) is as it was. */
  async powerOn(): Promise<void> {
    if (this.initPid !== undefined) return;
    mkdirSync(this.dir, { recursive: true });
    const { diskMiB } = this.#layout.options;
    if (diskMiB !== undefined && this.runsSwarmd) await ensureDisk(this, diskMiB);
    await plug(this.#layout, this.place);
    const log = openSync(`${this.dir}/init.log`, 'a');
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${this.place.netns}`,
        'unshare',
        '--mount',
        '--pid',
        '--uts',
        '--ipc',
        '--fork',
        '--mount-proc',
        '--propagation',
        'private',
        INIT_SCRIPT,
        this.name,
        this.place.address,
        this.dir,
        `${this.#layout.stateDir}/hosts`,
      ],
      { detached: true, stdio: ['ignore', log, log] },
    );
    closeSync(log);
    child.unref();
    const outer = child.pid;
    if (outer === undefined)
      throw new SwarmError('internal', `host ${this.name}: unshare did not start`);
    const init = await waitUntil(
      { what: `host ${this.name} to boot (see ${this.dir}/init.log)`, timeoutMs: BOOT_TIMEOUT_MS },
      () => bootedInit(outer),
    );
    remember(`${this.dir}/init.pid`, init);
    this.#logger.debug({ host: this.name, pid: init }, 'host is on');
  }

  /**
   * Power loss: everything on the host dies at once, memory and kernel state are gone. A disk of its own
   * keeps what was synced; a folder of this machine keeps all.
   */
  async powerOff(): Promise<void> {
    const pid = this.initPid;
    if (pid !== undefined) {
      if (hasDisk(this)) await cutDisk(this);
      killIfAlive(pid);
      await waitUntil({ what: `host ${this.name} to die`, timeoutMs: BOOT_TIMEOUT_MS }, () =>
        startTime(pid) === undefined ? true : undefined,
      );
    }
    rmSync(`${this.dir}/init.pid`, { force: true });
    await unplug(this.#layout, this.place);
    await removeCgroups(`${this.#layout.cgroup}/${this.name}`);
  }

  async cutCable(): Promise<void> {
    await setCable(this.#layout, this.place, 'down');
  }

  async healCable(): Promise<void> {
    await setCable(this.#layout, this.place, 'up');
  }

  /** SIGSTOP or SIGCONT to every process of the host except its PID 1. */
  async signalAll(signal: 'STOP' | 'CONT'): Promise<void> {
    await this.exec(['kill', `-${signal}`, '-1'], { okCodes: [0, 1] });
  }

  /** Arguments of nsenter that put a program inside this host. */
  #enter(): string[] {
    const pid = this.initPid;
    if (pid === undefined)
      throw new SwarmError(
        'unavailable',
        `host ${this.name} is off; bring it up with: scripts/lab up`,
      );
    return ['--target', String(pid), '--mount', '--net', '--pid', '--uts', '--ipc', '--wd=/'];
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      PATH: `${programPath(this.#layout)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      HOME: '/root',
      LANG: 'C.UTF-8',
      TERM: process.env['TERM'] ?? 'dumb',
    };
  }

  /** Runs a program on the host to its end; `swarmctl` and `swarmd` are in its PATH. */
  exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run('nsenter', [...this.#enter(), '--', ...argv], {
      timeoutMs: EXEC_TIMEOUT_MS,
      ...options,
      env: { ...this.#environment(), ...options.env },
    });
  }

  /** Like `exec`, but with the caller's terminal, for people. @returns the exit code. */
  execInteractive(argv: readonly string[], options: SpawnOptions = {}): Promise<number> {
    return new Promise((resolve, reject) => {
      const child = spawn('nsenter', [...this.#enter(), '--', ...argv], {
        stdio: 'inherit',
        env: this.#environment(),
        ...options,
      });
      child.on('error', reject);
      child.on('close', (code) => resolve(code ?? 1));
    });
  }

  /**
   * Starts a program that goes on after the lab command has ended. Its pid on the host goes to /run/NAME.pid,
   * what it says to the host's NAME.log, and its standard output to `output` instead where one is given: an
   * empty file first. Both are there when this returns, however late the program begins.
   */
  async startService(name: string, argv: readonly string[], output?: string): Promise<void> {
    const line = argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const log = `${this.dir}/${name}.log`;
    const out = output === undefined ? '' : ` >'${output}'`;
    await this.exec([
      'sh',
      '-c',
      `{ setsid ${line} </dev/null & echo $! >/run/${name}.pid; } >>'${log}' 2>&1${out}`,
    ]);
  }

  /** Pid on the host of a service that is alive, or undefined. */
  async servicePid(name: string): Promise<number | undefined> {
    if (this.initPid === undefined) return undefined;
    const { stdout } = await this.exec(
      [
        'sh',
        '-c',
        `pid=$(cat /run/${name}.pid 2>/dev/null) && kill -0 "$pid" 2>/dev/null && echo "$pid"`,
      ],
      { okCodes: [0, 1] },
    );
    return stdout.trim() === '' ? undefined : Number(stdout);
  }

  /** kill -9 of a service and of the processes it started itself, all at once. Containers live on. */
  async killService(name: string): Promise<void> {
    await this.signalService(name, 'KILL');
    await waitUntil(
      { what: `${name} on ${this.name} to die`, timeoutMs: BOOT_TIMEOUT_MS },
      async () => ((await this.servicePid(name)) === undefined ? true : undefined),
    );
  }

  /** A signal to a service and to the processes it started itself. Nothing when it does not run. */
  async signalService(name: string, signal: 'KILL' | 'STOP' | 'CONT'): Promise<void> {
    const pid = await this.servicePid(name);
    if (pid === undefined) return;
    const line = `kill -${signal} ${pid} $(cat /proc/${pid}/task/*/children 2>/dev/null)`;
    await this.exec(['sh', '-c', line], { okCodes: [0, 1] });
  }

  /** Sends a signal to a service and waits until it is gone. Containers live on. */
  async stopService(name: string, signal: 'TERM' | 'KILL'): Promise<void> {
    const pid = await this.servicePid(name);
    if (pid === undefined) return;
    await this.exec(['kill', `-${signal}`, String(pid)], { okCodes: [0, 1] });
    await withDeadline(
      { clock: systemClock, timeoutMs: BOOT_TIMEOUT_MS, what: `stopping ${name} on ${this.name}` },
      async () => {
        await waitUntil(
          { what: `${name} on ${this.name} to end`, timeoutMs: BOOT_TIMEOUT_MS },
          async () => ((await this.servicePid(name)) === undefined ? true : undefined),
        );
      },
    );
  }
}

/** Pid of the PID 1 that `unshare` forked, once it has become tini: then all mounts are in place. */
function bootedInit(outer: number): number | undefined {
  if (startTime(outer) === undefined)
    throw new SwarmError('internal', 'the host ended while booting');
  return findTini(outer);
}

function findTini(pid: number): number | undefined {
  for (const child of readText(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean)) {
    const found =
      readText(`/proc/${child}/comm`).trim() === 'tini' ? Number(child) : findTini(Number(child));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A file of /proc, empty when the process has just gone. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
