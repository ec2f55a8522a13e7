/**
 * Start times as on a machine with cgroup version 2, measured on one whose controllers belong to version 1: in a
 * mount namespace of our own /sys/fs/cgroup is version 2 and nothing else, so that agent and runtime go the ways of version 2
 * (a process is made within its cgroup, devices are filtered by BPF) on this kernel and processor. What is left out are the
 * files of limits, which nobody here asks for: version 2 has no controllers there, and two files say that it had.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '@swarmd/base/system';

const INSIDE = 'SWARMD_BENCH_CGROUP2';
const ROOT = '/sys/fs/cgroup';

/**
 * crun lifts the limit of locked memory for its filter, for kernels before 5.11, and fails where it may not (a machine without
 * CAP_SYS_RESOURCE, such as some virtual ones). Newer kernels have no use for that.
 */
const NO_LIMIT = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>
int setrlimit(__rlimit_resource_t what, const struct rlimit *to) {
  int (*real)(__rlimit_resource_t, const struct rlimit *) = dlsym(RTLD_NEXT, "setrlimit");
  int result = real(what, to);
  return what == RLIMIT_MEMLOCK ? 0 : result;
}
`;

const ENTER = `set -e
umount -R ${ROOT} 2>/dev/null || umount -l ${ROOT}
mount -t cgroup2 cgroup2 ${ROOT}
mkdir "$0/upper" "$0/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$0/upper,workdir=$0/work" overlay /etc
echo "$0/no-limit.so" >/etc/ld.so.preload
exec "$@"`;

export const isCgroup2View = process.env[INSIDE] === '1';

/** Program, arguments and environment that run a command there. */
export async function enteringCgroup2(command: readonly string[]): Promise<
  {
    readonly argv: readonly [string, ...string[]];
    readonly env: NodeJS.ProcessEnv;
  } & Disposable
> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmd-bench-'));
  const source = join(folder, 'no-limit.c');
  writeFileSync(source, NO_LIMIT);
  await run('gcc', ['-shared', '-fPIC', '-O2', '-o', join(folder, 'no-limit.so'), source]);
  const inside = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', ENTER, folder];
  return {
    argv: [...inside, ...command] as [string, ...string[]],
    env: { ...process.env, [INSIDE]: '1', SWARMD_EXECUTOR_TEST_INSIDE: '1' },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

/** To be called once there, before an executor looks for its controllers. @param parent of its cgroups. */
export async function pretendControllers(parent: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmd-bench-'));
  mkdirSync(join(ROOT, parent));
  for (const path of [ROOT, join(ROOT, parent)]) {
    for (const name of ['cgroup.controllers', 'cgroup.subtree_control']) {
      // One each: runtimes write into the second.
      const file = join(mkdtempSync(join(folder, 'of-')), name);
      writeFileSync(file, 'cpu memory pids\n');
      await run('mount', ['--bind', file, join(path, name)]);
    }
  }
  // The mounts keep them.
  rmSync(folder, { recursive: true });
}
