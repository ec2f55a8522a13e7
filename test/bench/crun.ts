/** The runtime alone, beside us: the same program in the same namespaces, without images, monitor and logs. */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { run } from '@swarmd/base/system';

interface RuntimeSpec {
  readonly process: object;
  readonly linux: { readonly namespaces: readonly { readonly type: string }[] };
}

export class Crun {
  readonly #folder: string;
  readonly #cgroup: string;

  private constructor(folder: string, cgroup: string) {
    this.#folder = folder;
    this.#cgroup = cgroup;
  }

  /** @param machine whose folder, cgroup and network namespace it uses. */
  static async make(machine: {
    readonly folder: string;
    readonly name: string;
    readonly command: readonly [string, ...string[]];
  }): Promise<Crun> {
    const crun = new Crun(join(machine.folder, 'crun'), `/${machine.name}-crun`);
    const program = join(crun.#bundle, 'rootfs', machine.command[0]);
    await mkdir(dirname(program), { recursive: true });
    await copyFile('/bin/busybox', program);
    await run('sh', ['-c', `cd ${crun.#bundle} && crun spec`]);
    const file = join(crun.#bundle, 'config.json');
    const spec = JSON.parse(await readFile(file, 'utf8')) as RuntimeSpec;
    const others = spec.linux.namespaces.filter(({ type }) => type !== 'network');
    const network = { type: 'network', path: `/run/netns/${machine.name}` };
    const process = { ...spec.process, terminal: false, args: machine.command };
    const linux = { ...spec.linux, namespaces: [...others, network], cgroupsPath: crun.#cgroup };
    await writeFile(file, JSON.stringify({ ...spec, process, linux }));
    return crun;
  }

  get #bundle(): string {
    return join(this.#folder, 'bundle');
  }

  /** Until the program runs. */
  async start(id: string): Promise<void> {
    // What it starts keeps its output: with pipes, the end of those would be waited for.
    const command = `exec crun --root ${this.#folder}/state run --detach --bundle ${this.#bundle} ${id}`;
    await run('sh', ['-c', `${command} >/dev/null 2>${this.#folder}/said </dev/null`]);
  }

  /** Until nothing of it is left. */
  async end(id: string): Promise<void> {
    await run('crun', ['--root', `${this.#folder}/state`, 'delete', '--force', id]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
