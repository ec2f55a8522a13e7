/** What people ask of a container beyond running it: confinement, attaching, a root that is nobody on the node. */
import { readFileSync } from 'node:fs';

import type { Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cgroupFile,
  ctl,
  hostOf,
  lab,
  ok,
  pidOf,
  remove,
  sh,
  until,
  untilRunning,
  type Outcome,
} from './support.ts';

const QUICK = ['--stop-signal', 'SIGKILL', '--restart-delay', '0'];
const WORKER = ['--constraint', 'node.role==worker'];
const SERVICES = ['confined', 'echoer', 'term', 'plain', 'mapped', 'plain-too'];
/** The kernel of `npm run lab:kernel` brings them; elsewhere they are put over the machine's, in the hosts only. */
const hasSubids = readFileSync('/etc/subuid', 'utf8').includes('swarmd:');

const create = (name: string, ...rest: string[]): Promise<string> =>
  ok('service', 'create', '--name', name, ...QUICK, ...WORKER, ...rest);

/** Runs a shell line on the first manager, whatever its exit code. */
async function line(text: string): Promise<Outcome> {
  const okCodes = Array.from({ length: 256 }, (_, code) => code);
  return lab.host('m1').exec(['sh', '-c', text], { okCodes });
}

async function only(name: string): Promise<Task> {
  const [task] = await untilRunning(name, 1);
  if (task === undefined) throw new Error(`${name} runs`);
  return task;
}

const entered = async (name: string, script: string): Promise<string> =>
  (await ctl('m1', 'task', 'exec', `${name}.1`, '--', 'sh', '-c', script)).stdout;

afterAll(async () => {
  await remove(...SERVICES);
  for (const host of ['w1', 'w2']) await ctl('m1', 'volume', 'rm', '--node', host, 'ours', 'own');
  await ctl('m1', 'secret', 'rm', 'by-use');
});

describe('a confined container', () => {
  it('has the seccomp profile of a file, of which only the rules are its that are meant for it', async () => {
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        {
          names: ['mkdir', 'mkdirat'],
          action: 'SCMP_ACT_ERRNO',
          includes: { caps: ['CAP_SYS_ADMIN'] },
        },
        { names: ['rmdir', 'unlinkat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
      ],
    };
    await line(
      `echo '${JSON.stringify(profile)}' >/run/profile.json; echo '{"x":1}' >/run/no.json`,
    );
    const bad = await ctl(
      'm1',
      'service',
      'create',
      '--name',
      'bad',
      '--security-opt',
      'seccomp=/run/no.json',
      BUSYBOX,
    );
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('at defaultAction') });
    const options = ['--security-opt', 'seccomp=/run/profile.json', '--io-weight', '300'];
    await create('confined', ...options, BUSYBOX, 'sleep', '100000');
    const task = await only('confined');
    expect(await sh(await hostOf(task), `grep Seccomp: /proc/${pidOf(task)}/status`)).toMatch(/2$/);
    expect(await entered('confined', 'mkdir /x && echo made; rmdir /x || echo kept')).toBe(
      'made\nkept\n',
    );
    await line('rm /run/profile.json /run/no.json');
  });

  it('has its weight at disks', async () => {
    const task = await only('confined');
    const weight = await cgroupFile(task, { v1: 'blkio/blkio.bfq.weight', v2: 'io.bfq.weight' });
    expect(weight).toMatch(/^(default )?300$/);
  });

  it('sees nothing of what is masked, and changes nothing of what is read-only', async () => {
    const masked = 'cat /proc/timer_list | wc -c; ls /sys/firmware | wc -l';
    expect(await entered('confined', masked)).toMatch(/^0\n0\n$/);
    const mounts = await entered('confined', `cut -d' ' -f5,6 /proc/self/mountinfo`);
    for (const path of ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/sys'])
      expect(mounts).toMatch(new RegExp(`^${path} ro,`, 'm'));
    const refused = await ctl(
      'm1',
      'task',
      'exec',
      'confined.1',
      '--',
      'sh',
      '-c',
      'echo 1 >/proc/sys/kernel/shmmax',
    );
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('Read-only file system');
  });
});

describe('who attaches', () => {
  beforeAll(async () => {
    const echo = 'i=0; while read l; do i=$((i+1)); echo out $i $l; echo err $i >&2; done';
    await create('echoer', '--detach', '-i', BUSYBOX, 'sh', '-c', `${echo}; echo closed`);
    await create('term', '--detach', '-t', '-i', BUSYBOX, 'sh');
    await create('plain', '--detach', BUSYBOX, 'sh', '-c', 'while sleep 0.1; do echo tick; done');
    await Promise.all(['echoer', 'term', 'plain'].map((name) => only(name)));
  });

  /** Keys go when what is awaited has been seen: a shell that does not wait for them loses them. */
  const typed = (keys: readonly string[], command: string): Promise<Outcome> =>
    line(
      `rm -f /run/seen; { ${keys.join('; ')}; } | timeout 60 script -qefc '${command}' /run/seen`,
    );
  const seen = (text: string): string => `until grep -q '${text}' /run/seen; do sleep 0.1; done`;

  it('gives lines, gets the answers in their order, and leaves the input open for the next', async () => {
    const feed = (lines: string, last: number): Promise<Outcome> =>
      // It follows what is printed until it is ended.
      line(`cd "$(mktemp -d)"; printf '${lines}' >in; : >out; : >err
        swarmctl task attach echoer.1 <in >out 2>err & pid=$!
        for i in $(seq 300); do grep -q 'err ${last}' err && grep -q 'out ${last}' out && break; sleep 0.1; done
        kill -INT $pid; wait $pid; cat out; cat err >&2; rm -r "$PWD"`);
    const first = await feed('a\\nb\\nc\\n', 3);
    expect(first.stdout).toBe('out 1 a\nout 2 b\nout 3 c\n');
    expect(first.stderr).toMatch(/^err 1\nerr 2\nerr 3\n/);
    expect((await feed('d\\n', 4)).stdout).toBe('out 4 d\n');
  });

  it('only watches where there is no input', async () => {
    const { stdout } = await line(`timeout 20 swarmctl task attach plain.1 | head -n 3`);
    expect(stdout).toBe('tick\ntick\ntick\n');
  });

  it('types on a terminal of its size, and leaves it as it is', async () => {
    const keys = [
      `printf 'stty size; x=kept\\r'`,
      seen('31 77'),
      `printf '\\020\\021'`,
      seen('Script done'),
    ];
    const { code } = await typed(keys, 'stty rows 31 cols 77; swarmctl task attach term.1');
    expect(code).toBe(0);
    const again = [`printf 'echo is $x\\r'`, seen('is kept'), `printf '\\020'`];
    const { stdout } = await typed(
      [...again, `printf '\\021'`, seen('Script done')],
      'swarmctl task attach term.1',
    );
    expect(stdout).toContain('is kept');
    // What comes in one piece with the keys to leave is not lost with them.
    const piece = [`printf 'echo at $x\\r'`, seen('at kept'), `printf 'x=last\\r\\020\\021'`];
    const left = await typed([...piece, seen('Script done')], 'swarmctl task attach term.1');
    expect(left.code).toBe(0);
    const last = await typed(
      [`printf 'echo is $x\\r'`, seen('is last'), `printf '\\020\\021'`, seen('Script done')],
      'swarmctl task attach term.1',
    );
    expect(last.code).toBe(0);
    expect(last.stdout).toContain('is last');
  });

  it('is told how the program ended', async () => {
    const { code } = await typed(
      [`printf 'echo i''s it\\r'`, seen('is it'), `printf 'exit 9\\r'`, seen('Script done')],
      'swarmctl task attach term.1',
    );
    expect(code).toBe(9);
  });
});

describe('a container whose root is nobody', () => {
  beforeAll(async () => {
    const put = `printf 'swarmd:300000:65536\\n' >/run/subids
      for file in /etc/subuid /etc/subgid; do mount --bind /run/subids $file; done`;
    if (!hasSubids) for (const name of ['w1', 'w2']) await sh(lab.host(name), put);
    await line('printf told | swarmctl secret create by-use -');
    const mounts = ['ours', 'own'].flatMap((name) => [
      '--mount',
      `type=volume,source=${name},target=/${name}`,
    ]);
    const secret = ['--secret', 'source=by-use,target=told,uid=5,mode=0400'];
    const options = [
      '--userns',
      'remap',
      ...secret,
      ...mounts,
      '--sysctl',
      'net.core.somaxconn=77',
    ];
    const start = 'id -u; nc -ll -p 80 -e echo answered & exec sleep 100000';
    await create('mapped', ...options, BUSYBOX, 'sh', '-c', start);
  });
  afterAll(async () => {
    const take = 'umount /etc/subuid /etc/subgid; rm /run/subids';
    if (!hasSubids) for (const name of ['w1', 'w2']) await sh(lab.host(name), take);
  });

  it('is nobody on the node, and root inside', async () => {
    const task = await only('mapped');
    expect(await sh(await hostOf(task), `stat -c %u /proc/${pidOf(task)}`)).toBe('300000');
    const said = await until('what it printed', async () => {
      const { stdout } = await ctl('m1', 'service', 'logs', '--raw', 'mapped');
      return stdout === '' ? undefined : stdout;
    });
    expect(said).toBe('0\n');
  });

  it('has its secrets, volumes and kernel parameters', async () => {
    const told = await ctl(
      'm1',
      'task',
      'exec',
      '-u',
      '5',
      'mapped.1',
      '--',
      'cat',
      '/run/secrets/told',
    );
    expect(told).toMatchObject({ code: 0, stdout: 'told' });
    const script = `touch /ours/f /own/f; chown 9:8 /ours/f; stat -c %u:%g /ours/f /own/f /bin /etc/hosts
      cat /proc/sys/net/core/somaxconn`;
    expect(await entered('mapped', script)).toBe('9:8\n0:0\n0:0\n0:0\n77\n');
    const task = await only('mapped');
    const pin = ['--mount', 'type=volume,source=ours,target=/ours'];
    const host = (await hostOf(task)).name;
    await create(
      'plain-too',
      '--constraint',
      `node.hostname==${host}`,
      ...pin,
      BUSYBOX,
      'sleep',
      '100000',
    );
    expect(await entered('plain-too', 'stat -c %u:%g /ours/f')).toBe('9:8\n');
    await remove('plain-too');
  });

  it('answers on port 80', async () => {
    await until('an answer', async () =>
      (await entered('mapped', 'nc 127.0.0.1 80 </dev/null')) === 'answered\n' ? true : undefined,
    );
  });

  it('is given files, and gives them back', async () => {
    const { stdout, stderr, code } = await line(`set -e; cd "$(mktemp -d)"; echo content >file
      swarmctl task cp file mapped.1:/own/; swarmctl task exec mapped.1 -- stat -c %u:%g /own/file
      swarmctl task exec mapped.1 -- sh -c 'echo more >>/own/file'
      swarmctl task cp mapped.1:/own/file back; cat back; rm -r "$PWD"`);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe('0:0\ncontent\nmore\n');
  });
});
