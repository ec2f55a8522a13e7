/**
 * Docker Engine beside us, where its dockerd is in the PATH (Debian's docker.io): on this machine's disk and
 * registry, in folders and cgroups of its own, without a network. Asked over its socket, as its own CLI does
 * in 40 ms more.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from '@swarmd/base/testing';
import { run } from '@swarmd/base/system';

import { CpuMeter } from './cpu-meter.ts';

const API = '/v1.41';
const START_TIMEOUT_MS = 60_000;

export class Docker implements AsyncDisposable {
  readonly #folder: string;
  readonly #cgroup: string;
  readonly #daemon: ChildProcess;
  readonly #meter: CpuMeter;

  private constructor(folder: string, cgroup: string, daemon: ChildProcess) {
    this.#folder = folder;
    this.#cgroup = cgroup;
    this.#daemon = daemon;
    this.#meter = CpuMeter.open('docker', daemon.pid);
  }

  /** Undefined where there is none. To be called in a network namespace of one's own. */
  static async start(): Promise<Docker | undefined> {
    const { code } = await run('sh', ['-c', 'command -v dockerd'], { okCodes: [0, 1, 127] });
    if (code !== 0) return undefined;
    const folder = await mkdtemp(join(tmpdir(), 'swarmd-docker-'));
    const cgroup = `/swarmd-bench-docker-${process.pid}`;
    const off = ['iptables', 'ip6tables', 'ip-forward', 'ip-masq'].map((name) => `--${name}=false`);
    const daemon = spawn(
      'dockerd',
      [
        `--host=unix://${folder}/sock`,
        `--data-root=${folder}/data`,
        `--exec-root=${folder}/exec`,
        `--pidfile=${folder}/pid`,
        `--cgroup-parent=${cgroup}`,
        '--bridge=none',
        ...off,
      ],
      { stdio: 'ignore' },
    );
    await once(daemon, 'spawn');
    const docker = new Docker(folder, cgroup, daemon);
    try {
      await until('dockerd is up', () => docker.#isUp(), START_TIMEOUT_MS);
      return docker;
    } catch (error) {
      await docker[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Of the daemons, and of what they started but the containers themselves. */
  cpuMs(): number {
    return this.#meter.ms();
  }

  async pull(image: string): Promise<void> {
    const [name, tag = 'latest'] = image.split(/:(?=[^:/]+$)/);
    const said = await this.#call('POST', `/images/create?fromImage=${name}&tag=${tag}`);
    if (said.includes('errorDetail')) throw new Error(`docker pull: ${said.slice(-500)}`);
  }

  async remove(image: string): Promise<void> {
    await this.#call('DELETE', `/images/${image}?force=1`);
  }

  /** As `docker run --detach --network none`: returns once the process runs. */
  async run(name: string, image: string, command: readonly string[]): Promise<void> {
    const body = { Image: image, Cmd: command, HostConfig: { NetworkMode: 'none' } };
    await this.#call('POST', `/containers/create?name=${name}`, body);
    await this.#call('POST', `/containers/${name}/start`);
  }

  /** Kills and removes a container. */
  async end(name: string): Promise<void> {
    await this.#call('DELETE', `/containers/${name}?force=1`);
  }

  /** The most that dockerd and containerd ever held. */
  peakMiB(): number {
    return this.#pids().reduce((sum, pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      return sum + Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1_024;
    }, 0);
  }

  #pids(): readonly number[] {
    const pid = this.#daemon.pid ?? 0;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  }

  async #isUp(): Promise<boolean> {
    if (this.#daemon.exitCode !== null) throw new Error(`dockerd ended: ${this.#daemon.exitCode}`);
    return this.#call('GET', '/_ping').then(
      () => true,
      () => false,
    );
  }

  async #call(method: string, path: string, body?: object): Promise<string> {
    const sent = request({
      socketPath: join(this.#folder, 'sock'),
      method,
      path: `${API}${path}`,
      headers: { host: 'docker', 'content-type': 'application/json' },
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(sent, 'response')) as [
      NodeJS.ReadableStream & { statusCode: number },
    ];
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    if (answer.statusCode >= 400) throw new Error(`docker: ${method} ${path}: ${text}`);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon.exitCode === null) {
      const gone = once(this.#daemon, 'exit');
      this.#daemon.kill('SIGTERM');
      await gone;
    }
    this.#meter[Symbol.dispose]();
    await run('sh', ['-c', `rmdir /sys/fs/cgroup/*${this.#cgroup}`], { okCodes: [0, 1] });
    await rm(this.#folder, { recursive: true, force: true });
  }
}
