/**
 * A Debian with nothing on it, not even Node, in which the checkout lies: built at /opt/checkout, as git
 * gives it at /opt/unbuilt, both read-only. All of it is in memory and in namespaces of its own, held by
 * one process: when that ends, for whatever reason, nothing is left.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { SwarmError } from '@swarmd/base';
import { run, type RunResult } from '@swarmd/base/system';

import { debianArchive } from './debian.ts';

const CACHE_DIR = '/var/cache/swarmd-lab/install';
const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const BOOT_ROOT = fileURLToPath(new URL('./boot-root.sh', import.meta.url));
const NETNS = 'clean';
const EXEC_TIMEOUT_MS = 180_000;

/** Network of a program in the root: this machine's, for packages; or one of its own, with nobody else in it. */
export type Reach = 'machine' | 'alone';

export class CleanRoot implements AsyncDisposable {
  readonly #holder: ChildProcess;
  readonly #folder: string;
  readonly #init: number;

  private constructor(holder: ChildProcess, folder: string, init: number) {
    this.#holder = holder;
    this.#folder = folder;
    this.#init = init;
  }

  static async boot(): Promise<CleanRoot> {
    const downloads = `${CACHE_DIR}/archives`;
    mkdirSync(`${downloads}/partial`, { recursive: true });
    const archive = await debianArchive(CACHE_DIR);
    const folder = mkdtempSync(join(tmpdir(), 'swarmd-clean-root-'));
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--propagation', 'private'];
    const holder = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', ...namespaces, '--fork', '--kill-child', BOOT_ROOT].concat(
        [archive, folder, CHECKOUT, downloads],
      ),
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    for await (const line of createInterface({ input: holder.stdout })) {
      if (line === 'ready') return new CleanRoot(holder, folder, await onlyChild(holder.pid));
    }
    rmdirSync(folder);
    throw new SwarmError('internal', 'the clean root did not boot; the reason is above');
  }

  /** Runs a program in the root to its end, whatever its exit code. */
  exec(argv: readonly string[], reach: Reach = 'machine'): Promise<RunResult> {
    const [program = '', ...args] = this.#enter(argv, reach);
    return run(program, args, {
      timeoutMs: EXEC_TIMEOUT_MS,
      okCodes: Array.from({ length: 256 }, (_, code) => code),
    });
  }

  /** Runs a shell line that must succeed. @returns what it printed. */
  async sh(line: string, reach: Reach = 'machine'): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['sh', '-c', line], reach);
    if (code !== 0) throw new Error(`${line}: exit ${code}: ${stderr || stdout}`);
    return stdout.trim();
  }

  /** Starts a program that goes on. It ends with the root at the latest. */
  start(argv: readonly string[], reach: Reach): ChildProcess {
    const [program = '', ...args] = this.#enter(argv, reach);
    return spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  /** Ends what `start` started, as systemd would. */
  async stop(started: ChildProcess): Promise<void> {
    const ended = once(started, 'close');
    process.kill(await onlyChild(started.pid), 'SIGTERM');
    await ended;
  }

  /** Makes the network of reach `alone`, with an address that no one else has. Needs iproute2 in the root. */
  async isolate(address: string): Promise<void> {
    const ip = `ip -n ${NETNS}`;
    await this.sh(
      `ip netns add ${NETNS} && ${ip} link set lo up && ${ip} link add eth0 type veth peer name peer0 && ` +
        `${ip} addr add ${address}/24 dev eth0 && ${ip} link set eth0 up && ${ip} link set peer0 up`,
    );
  }

  #enter(argv: readonly string[], reach: Reach): string[] {
    const target = ['--target', String(this.#init), '--mount', '--pid', '--uts', '--ipc'];
    const alone = reach === 'alone' ? ['nsenter', `--net=/run/netns/${NETNS}`] : [];
    const keep = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [`${name}=${value}`];
    });
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const environment = ['env', '-i', 'HOME=/root', 'LANG=C.UTF-8', path, ...keep];
    return ['nsenter', ...target, '--wd', '--', ...environment, ...alone, ...argv];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#holder, 'close');
    this.#holder.kill('SIGKILL');
    await ended;
    rmdirSync(this.#folder); // Empty: what was on it was seen inside only.
  }
}

/** Pid, as this machine sees it, of the first process in the holder's pid namespace. */
async function onlyChild(holder: number | undefined): Promise<number> {
  const { stdout } = await run('cat', [`/proc/${holder}/task/${holder}/children`]);
  return Number(stdout.trim());
}
