/**
 * Another kernel for tests: User-mode Linux, a kernel that is an ordinary process. Its root is this
 * machine's, read-only; what its first process does is in other-kernel.sh, as far as all have it in common.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SwarmError } from '../errors.ts';

/** Debian's: with IPsec and cgroup version 2, almost without nftables. */
const KERNEL = '/usr/bin/linux.uml';
/** One slow CPU, on a machine that may be busy with other tests. */
const DEADLINE_MS = 900_000;
export const OTHER_KERNEL_TIMEOUT_MS = DEADLINE_MS + 10_000;

export interface OtherKernelRun {
  /** Path of its first process: a script that runs the tests it finds in TESTS, with commas between, and then ends the kernel. */
  readonly init: string;
  /** vitest's filters, relative to the repository's root. */
  readonly tests: readonly string[];
  /** Path of the kernel; unless given, Debian's. */
  readonly kernel?: string;
  /** Of its first process, besides; without blanks. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly memoryMiB?: number;
  /** Size of a disk for /var (/dev/ubda) that ends with the kernel; unless given there is none. */
  readonly diskMiB?: number;
  readonly deadlineMs?: number;
  /** Is given what is printed as it comes. */
  readonly onOutput?: (text: string) => void;
}

/**
 * @returns what was printed.
 * @throws SwarmError `failed-precondition` where User-mode Linux is not installed.
 */
export async function outputOnOtherKernel(options: OtherKernelRun): Promise<string> {
  const { init, tests, environment = {}, memoryMiB = 1024, diskMiB } = options;
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-kernel-'));
  try {
    const kernel = join(folder, 'linux');
    const image = await kernelImage(options.kernel ?? KERNEL);
    await writeFile(kernel, fitToMachine(image, await cpuFlags()), { mode: 0o755 });
    const disk = join(folder, 'disk');
    if (diskMiB !== undefined) {
      await writeFile(disk, '');
      await truncate(disk, diskMiB * 1024 * 1024);
    }
    return await boot(options, kernel, [
      `uml_dir=${folder}`,
      `mem=${memoryMiB}M`,
      ...(diskMiB === undefined ? [] : [`ubd0=${disk}`]),
      'rootfstype=hostfs',
      'rootflags=/',
      'ro',
      `init=${init}`,
      'con0=fd:0,fd:1',
      'con=null',
      'quiet',
      'noreboot',
      'panic=-1',
      `TESTS=${tests.join(',')}`,
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The kernel and all its processes share a namespace of pids, and end with its first one; that one ends
 * with unshare, and unshare with us, however we end.
 */
async function boot(
  { deadlineMs = DEADLINE_MS, onOutput }: OtherKernelRun,
  kernel: string,
  parameters: readonly string[],
): Promise<string> {
  const namespaces = ['--pid', '--fork', '--kill-child', '--mount', '--mount-proc'];
  const command = ['--pdeathsig', 'KILL', 'unshare', ...namespaces, kernel, ...parameters];
  const child = spawn('/usr/bin/setpriv', command, {
    // Its memory is a file in /dev/shm unless TMPDIR says otherwise.
    env: { PATH: process.env['PATH'], HOME: '/' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const deadline = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  try {
    return await outputOf(child, onOutput);
  } finally {
    clearTimeout(deadline);
    child.kill('SIGKILL');
  }
}

function outputOf(child: ChildProcess, onOutput?: (text: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const collect = (data: Buffer): void => {
      const text = data.toString();
      output += text;
      onOutput?.(text);
      // It would go on doing nothing, busily.
      if (output.includes('Kernel panic - not syncing')) child.kill('SIGKILL');
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.once('error', reject);
    child.once('close', () => resolve(output));
  });
}

async function kernelImage(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new SwarmError(
      'failed-precondition',
      `${path} is missing: scripts/kernel builds one, ${KERNEL} is of the Debian package user-mode-linux`,
      { cause },
    );
  }
}

async function cpuFlags(): Promise<string> {
  return /^flags.*$/m.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
}

/** The 2696 of "movq $2696, size" and "mov $PTRACE_SETREGSET, %edi", with which 6.1 sets vector registers. */
const SET_REGISTERS = Buffer.from('880a0000bf05420000', 'hex');
/** All of the register area where the CPU has AMX: Intel's manual, volume 1, 13.4 and 13.5.14. */
const AMX_AREA_BYTES = 11_008;

/**
 * The machine's kernel takes register areas only whole (arch/x86/kernel/fpu/regset.c), and UML 6.1
 * knows none with AMX: its first process would end with "ptrace set fp regs failed". It can be told the
 * true size. What follows its shorter buffer is its own memory and not looked at, as the area's header
 * says that the AMX part is not in use. Other versions of UML are left as they are.
 */
function fitToMachine(kernel: Buffer, flags: string): Buffer {
  if (!flags.includes(' amx_tile')) return kernel;
  const fitted = Buffer.from(kernel);
  // Compilers repeat it where it is used.
  for (let at = 0; (at = kernel.indexOf(SET_REGISTERS, at)) !== -1; at += 1) {
    fitted.writeUInt32LE(AMX_AREA_BYTES, at);
  }
  return fitted;
}
