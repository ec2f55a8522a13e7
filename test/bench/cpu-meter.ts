/** Processor time of processes and all that they start, whose parents may be gone: by a cgroup of their own. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export class CpuMeter implements Disposable {
  readonly #folder: string;
  readonly #isVersion1: boolean;

  private constructor(folder: string, isVersion1: boolean) {
    this.#folder = folder;
    this.#isVersion1 = isVersion1;
  }

  /** Of this process from now on, or of another one. */
  static open(name: string, pid = process.pid): CpuMeter {
    const version1 = '/sys/fs/cgroup/cpuacct';
    const isVersion1 = existsSync(version1);
    const folder = `${isVersion1 ? version1 : '/sys/fs/cgroup'}/swarmd-bench-${process.pid}-${name}`;
    mkdirSync(folder);
    writeFileSync(`${folder}/cgroup.procs`, String(pid));
    return new CpuMeter(folder, isVersion1);
  }

  /** This process is not counted any more, nor what it starts from now on. */
  leave(): void {
    writeFileSync(`${dirname(this.#folder)}/cgroup.procs`, String(process.pid));
  }

  /** Without what the kernel does later on its own account: it takes namespaces apart, say. */
  ms(): number {
    if (this.#isVersion1) return Number(readFileSync(`${this.#folder}/cpuacct.usage`)) / 1e6;
    const text = readFileSync(`${this.#folder}/cpu.stat`, 'latin1');
    return Number(/^usage_usec (\d+)/m.exec(text)?.[1] ?? 0) / 1e3;
  }

  /** Whoever is still in it goes back to where it came from. */
  [Symbol.dispose](): void {
    const left = readFileSync(`${this.#folder}/cgroup.procs`, 'latin1').split('\n').filter(Boolean);
    for (const pid of left) writeFileSync(`${dirname(this.#folder)}/cgroup.procs`, pid);
    rmdirSync(this.#folder);
  }
}
