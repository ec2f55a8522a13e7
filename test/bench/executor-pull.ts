/** Pull and unpack of a Debian image of 200 MB from a registry on this machine. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';

import { sleep } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';

import { DebianRegistry } from '../../packages/executor/test/fixtures/debian-registry.ts';
import { ImageMachine } from '../../packages/executor/test/fixtures/image-machine.ts';
import { TestRegistry } from '../../packages/executor/test/fixtures/registry.ts';
import { CpuMeter } from './cpu-meter.ts';
import type { Docker } from './docker.ts';
import { besideDocker, print } from './statistics.ts';

const LOOK_MS = 50;
const { signal: NEVER } = new AbortController();
const LAYERS = 4;
const LAYER_BYTES = 50e6;

/** Beside Docker, in turns, where there is one. */
export async function benchPull(runs: number, docker: Docker | undefined): Promise<void> {
  await using registry = await DebianRegistry.start();
  await fill(registry);
  const name = `${registry.host}/debian:200m`;
  const ours = { ms: [] as number[], cpu: [] as number[], peaks: [] as number[] };
  const theirs = { ms: [] as number[], cpu: [] as number[] };
  using meter = CpuMeter.open('pull');
  for (let round = 0; round < runs; round += 1) {
    await settledDisk();
    const cpuBefore = meter.ms();
    const { ms, peak } = await ourPull(name);
    ours.ms.push(ms);
    ours.peaks.push(peak);
    ours.cpu.push(meter.ms() - cpuBefore);
    if (docker === undefined) continue;
    await settledDisk();
    const theirCpu = docker.cpuMs();
    const began = performance.now();
    await docker.pull(name);
    theirs.ms.push(performance.now() - began);
    theirs.cpu.push(docker.cpuMs() - theirCpu);
    await docker.remove(name);
  }
  const megabytes = (LAYERS * LAYER_BYTES) / 1e6;
  const beside = (mine: readonly number[], other: readonly number[]): object =>
    docker === undefined ? {} : besideDocker(mine, other);
  print('executor', {
    metric: 'pull-and-unpack',
    unit: 'ms',
    values: ours.ms,
    megabytes,
    ...beside(ours.ms, theirs.ms),
  });
  print('executor', {
    metric: 'pull-and-unpack-cpu',
    unit: 'ms',
    values: ours.cpu,
    ...beside(ours.cpu, theirs.cpu),
  });
  print('executor', {
    metric: 'unpacker-peak-resident',
    unit: 'MiB',
    values: ours.peaks,
    target: 150,
    ...(docker === undefined ? {} : { docker: Math.round(docker.peakMiB()) }),
  });
}

async function ourPull(name: string): Promise<{ readonly ms: number; readonly peak: number }> {
  await using machine = await ImageMachine.open();
  const began = performance.now();
  const pull = machine.puller.pull(name, AbortSignal.timeout(300_000));
  const ended = pull.then(() => performance.now());
  let peak = 0;
  for (;;) {
    const end = await Promise.race([ended, pause()]);
    if (end !== undefined) return { ms: end - began, peak };
    peak = Math.max(peak, unpackerPeakMiB());
  }
}

/** One's dirty pages must not be written while the other is measured. */
async function settledDisk(): Promise<void> {
  await run('sync', [], { timeoutMs: 300_000 });
}

async function pause(): Promise<undefined> {
  await sleep(systemClock, LOOK_MS, NEVER);
}

/** Files of this machine's own Debian packages, 50 MB a layer. */
async function fill(registry: DebianRegistry): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-bench-'));
  try {
    await using source = await TestRegistry.start();
    const find = ['/usr/lib', '/usr/share', '-xdev', '-type', 'f', '-size', '-4000k'];
    const { stdout } = await run('find', [...find, '-printf', String.raw`%s %p\n`]);
    const files = stdout.split('\n').filter(Boolean);
    const layers: Buffer[] = [];
    for (let layer = 0; layer < LAYERS; layer += 1) {
      const names: string[] = [];
      for (let bytes = 0; bytes < LAYER_BYTES && files.length > 0;) {
        const [size = '', ...path] = files.shift()?.split(' ') ?? [];
        bytes += Number(size);
        names.push(`.${path.join(' ')}`);
      }
      await writeFile(join(folder, 'names'), names.join('\n'));
      const archive = join(folder, 'layer.tar');
      await run('tar', ['-C', '/', '-T', join(folder, 'names'), '-cf', archive]);
      layers.push(await readFile(archive));
    }
    source.putImage('debian:200m', layers);
    await registry.fill(`${source.host}/debian:200m`, 'debian:200m');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The most the unpacking process ever held, as the kernel counts it. */
function unpackerPeakMiB(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1');
  for (const pid of children.split(' ').filter(Boolean)) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('unpack/main')) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1_024;
    } catch {
      // It ended meanwhile.
    }
  }
  return 0;
}
