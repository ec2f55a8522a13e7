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
import { print } from './statistics.ts';

const LOOK_MS = 50;
const { signal: NEVER } = new AbortController();
const LAYERS = 4;
const LAYER_BYTES = 50e6;

export async function benchPull(runs: number): Promise<void> {
  await using registry = await DebianRegistry.start();
  await fill(registry);
  const name = `${registry.host}/debian:200m`;
  const times: number[] = [];
  const peaks: number[] = [];
  for (let round = 0; round < runs; round += 1) {
    await using machine = await ImageMachine.open();
    const began = performance.now();
    const pull = machine.puller.pull(name, AbortSignal.timeout(300_000));
    const over = pull.then(() => true);
    let peak = 0;
    while (!(await Promise.race([over, pause()]))) peak = Math.max(peak, await unpackerPeakMiB());
    times.push(performance.now() - began);
    peaks.push(peak);
  }
  const megabytes = (LAYERS * LAYER_BYTES) / 1e6;
  print('executor', { metric: 'pull-and-unpack', unit: 'ms', values: times, megabytes });
  print('executor', { metric: 'unpacker-peak-resident', unit: 'MiB', values: peaks, target: 150 });
}

async function pause(): Promise<boolean> {
  await sleep(systemClock, LOOK_MS, NEVER);
  return false;
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
async function unpackerPeakMiB(): Promise<number> {
  const { stdout } = await run('pgrep', ['-P', `${process.pid}`, '-f', 'unpack/main'], {
    okCodes: [0, 1],
  });
  const [pid] = stdout.split('\n');
  if (!pid) return 0;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1_024;
  } catch {
    // It ended meanwhile.
    return 0;
  }
}
