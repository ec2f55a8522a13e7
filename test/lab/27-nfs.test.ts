/**
 * Volumes on a file server, by what everybody gives to the driver `local`. The server is the kernel's own, on a host of
 * the lab, so this runs on a kernel that has it (`npm run lab:kernel`) and is skipped elsewhere.
 */
import { readFileSync } from 'node:fs';

import type { Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  ctl,
  hostOf,
  lab,
  ok,
  OWN_KERNEL,
  remove,
  running,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

const hasServer = OWN_KERNEL && /\bnfsd$/m.test(readFileSync('/proc/filesystems', 'utf8'));
const QUICK = ['--stop-signal', 'SIGKILL', '--restart-delay', '0'];
const WORKER = ['--constraint', 'node.role==worker'];
const SERVICES = ['first', 'second', 'refused', 'later', 'other'];
/** Seconds since 1970; the kernel reads 31 bits. */
const FOREVER = 2_000_000_000;

describe.runIf(hasServer)('a volume on a file server', { timeout: 600_000 }, () => {
  const server = lab.host('m1');
  const workers = (): string[] => lab.nodes.map(({ name }) => name).filter((name) => name !== 'm1');
  /** What rpc.mountd would answer the kernel: who may have what. */
  const exports = (folder: string): string => {
    const clients = lab.nodes
      .map(
        ({ place }) =>
          `echo "nfsd ${place.address} ${FOREVER} all" >/proc/net/rpc/auth.unix.ip/channel`,
      )
      .join('\n');
    // rw, no_root_squash, insecure, no_subtree_check, fsid=0: the root of version 4.
    return `${clients}
      echo "all ${folder} ${FOREVER} 9218 65534 65534 0" >/proc/net/rpc/nfsd.export/channel
      printf 'all 1 \\\\x00000000 ${FOREVER} ${folder}\\n' >/proc/net/rpc/nfsd.fh/channel`;
  };
  const folder = '/var/lib/swarmd/exported';
  const serve = `mkdir -p ${folder} /var/lib/nfs/v4recovery; chmod 777 ${folder}
    mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
    echo 10 >/proc/fs/nfsd/nfsv4gracetime; echo 10 >/proc/fs/nfsd/nfsv4leasetime
    echo '-2 -3 +4' >/proc/fs/nfsd/versions; echo 'tcp 2049' >/proc/fs/nfsd/portlist; echo 2 >/proc/fs/nfsd/threads`;
  const driver = (options: string): string[] => [
    '--driver',
    'local',
    '--opt',
    'type=nfs4',
    '--opt',
    `o=addr=${server.place.address},${options}`,
    '--opt',
    'device=:/',
  ];
  const start = (name: string, volume: string, ...rest: string[]): Promise<string> => {
    const mount = ['--mount', `type=volume,source=${volume},target=/data`];
    const how = ['--name', name, '--detach', ...QUICK, ...WORKER, ...mount, ...rest];
    return ok('service', 'create', ...how, BUSYBOX, 'sleep', '100000');
  };
  const entered = async (name: string, script: string): Promise<string> =>
    (await ctl('m1', 'task', 'exec', `${name}.1`, '--', 'sh', '-c', script)).stdout;
  const only = async (name: string): Promise<Task> => {
    const [task] = await untilRunning(name, 1);
    if (task === undefined) throw new Error(`${name} runs`);
    return task;
  };

  beforeAll(async () => {
    await sh(server, `set -e\n${serve}\n${exports(folder)}`);
    const soft = 'vers=4.1,rw,soft,timeo=50,retrans=1';
    for (const host of workers())
      await ok('volume', 'create', '--node', host, ...driver(soft), 'shared');
  });
  afterAll(async () => {
    await sh(server, 'echo 2 >/proc/fs/nfsd/threads');
    await remove(...SERVICES);
    for (const host of workers()) await ctl('m1', 'volume', 'rm', '--node', host, 'shared', 'away');
    await sh(server, 'echo 0 >/proc/fs/nfsd/threads; umount /proc/fs/nfsd');
  });

  it('is the same for tasks of different nodes and services', async () => {
    await start('first', 'shared');
    const task = await only('first');
    expect(await entered('first', 'echo kept >/data/file; grep " /data " /proc/mounts')).toMatch(
      /^:\/ \/data nfs4 rw,.*soft/,
    );
    expect(await sh(server, `cat ${folder}/file`)).toBe('kept');
    const elsewhere = `node.hostname!=${(await hostOf(task)).name}`;
    await start('second', 'shared', '--constraint', elsewhere);
    await only('second');
    expect(await entered('second', 'cat /data/file')).toBe('kept\n');
  });

  it('goes from the node with the last who uses it', async () => {
    const host = await hostOf(await only('second'));
    await remove('second');
    await until('it to be unmounted', async () =>
      (await sh(host, 'grep -c nfs4 /proc/mounts || true')) === '0' ? true : undefined,
    );
  });

  it('that is refused says so in service ps', async () => {
    for (const host of workers())
      await ok('volume', 'create', '--node', host, ...driver('vers=4.1,port=2050'), 'away');
    await start('refused', 'away', '--restart-condition', 'none');
    const failed = await until('the reason', async () =>
      (await tasks('refused')).find(({ status }) => ['rejected', 'failed'].includes(status.state)),
    );
    expect(failed.status.error).toMatch(/^volume away cannot be mounted: mount .*refused/s);
    await remove('refused');
  });

  it('whose server goes away keeps nobody but those who use it', async () => {
    const task = await only('first');
    const host = (await hostOf(task)).name;
    await sh(server, 'echo 0 >/proc/fs/nfsd/threads');
    // Five times as many as the daemon has threads for looking at files would be held up, were it to look.
    await start('later', 'shared', '--constraint', `node.hostname==${host}`);
    const told = await until('the reason', async () =>
      (await tasks('later')).find(({ status }) => status.error !== ''),
    );
    expect(told.status.error).toMatch(/^volume shared is mounted, but does not answer/);
    await ok('service', 'scale', '--detach', 'later=0');
    // The node does all else meanwhile, a restarted daemon too.
    await lab.crash(host);
    await lab.heal(host);
    const how = ['--name', 'other', ...QUICK, '--constraint', `node.hostname==${host}`];
    await ok('service', 'create', ...how, BUSYBOX, 'sleep', '100000');
    expect((await running('first')).map(({ id }) => id)).toEqual([task.id]);
    await sh(server, `echo 2 >/proc/fs/nfsd/threads\n${exports(folder)}`);
    await until('the server to be found again', async () =>
      (await entered('first', 'cat /data/file')) === 'kept\n' ? true : undefined,
    );
  });
});
