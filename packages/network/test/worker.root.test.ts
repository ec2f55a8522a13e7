/** The worker beside the programs that it stands for: the kernel must not be able to tell who told it. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { until } from '@swarmd/base/testing';

import { runSteps } from '../src/apply/kernel.ts';
import { listInScratch, listRules } from '../src/apply/reading.ts';
import { scriptOf } from '../src/apply/script.ts';
import { jobOf, openWorker } from '../src/apply/worker.ts';
import type { Step } from '../src/desired/step.ts';
import { HELPER_IDLE_MS, WORKER_LINES_MAX } from '../src/limits.ts';

const names = ['a', 'b', 'c'].map((name) => `sww-${process.pid}-${name}`);
const [one = '', other = '', third = ''] = names;
const sh = (script: string): string =>
  execFileSync('sh', ['-e', '-s'], { input: script, encoding: 'utf8' });

const remove = (): void => {
  for (const name of names) {
    if (existsSync(`/run/netns/${name}`)) sh(`ip netns del ${name}`);
  }
};
beforeEach(remove);
afterEach(remove);

/** All that an attach says, of each kind of network. */
const linesIn = (netns: string): Step[] => [
  { kind: 'add-netns', name: netns },
  {
    kind: 'ip',
    netns,
    lines: [
      'link set lo up',
      'link add outer address 02:42:00:00:00:01 type veth peer name gw0 address 02:42:64:40:01:05',
      'link set outer addrgenmode none up',
      'link add link outer name eth1 address 02:42:00:00:00:07 type macvlan mode vepa',
      `link add port mtu 1450 address 02:42:0a:00:01:06 up type veth peer name eth0 mtu 1450 address 02:42:0a:00:01:05 netns ${netns}`,
      'link set gw0 addrgenmode none',
      'link set eth0 up',
      'addr add 10.0.1.5/24 dev eth0',
      'addr add fd53:7764:0:1001::a00:105/96 dev eth0 nodad',
      'addr add 100.64.1.5/32 dev gw0',
      'addr add fd53:7764:0:1000::6440:105/128 dev gw0 nodad',
      'link set gw0 up',
      'neigh replace 100.64.1.1 lladdr 02:42:00:00:00:01 dev gw0 nud permanent',
      'neigh replace fd53:7764:0:1000::6440:101 lladdr 02:42:00:00:00:01 dev gw0 nud permanent',
      'route add 100.64.1.1/32 dev gw0 src 100.64.1.5',
      'route add default via 100.64.1.1 dev gw0 src 100.64.1.5',
      'route add fd53:7764:0:1000::6440:101/128 dev gw0 src fd53:7764:0:1000::6440:105',
      'route add default via fd53:7764:0:1000::6440:101 dev gw0 src fd53:7764:0:1000::6440:105',
      'route replace 10.0.2.0/24 dev eth0 src 10.0.1.5',
      'route replace 10.0.2.0/24 dev eth0 src 10.0.1.5',
      'route replace local ::1/128 dev gw0 table local metric 2053',
    ],
  },
  { kind: 'sysctl', netns, lines: ['net/ipv4/conf/gw0/route_localnet=1', 'net/no/such?=1'] },
  {
    kind: 'nft',
    netns,
    text: 'table ip t {\n  map m { type ipv4_addr : verdict; }\n}\nadd chain ip t c\nadd element ip t m { 10.0.0.1 : jump c }\n',
  },
];

function seenIn(netns: string): string {
  const listings = ['link', 'addr', 'route show table all', '-6 route show table all', 'neigh'];
  return sh(
    [
      ...listings.map((what) => `ip -n ${netns} -d ${what}`),
      `ip netns exec ${netns} nft list ruleset`,
      `ip netns exec ${netns} cat /proc/sys/net/ipv4/conf/gw0/route_localnet`,
    ].join('\n'),
  );
}

test('what the worker makes is what ip and nft make of the same lines', async () => {
  const steps = linesIn(one);
  expect(jobOf(steps)).toBeDefined();
  await runSteps(steps);
  sh(scriptOf(linesIn(other)));
  // What the kernel makes up by itself, when it gets to it.
  const plain = (text: string): string[] =>
    text
      .replaceAll(/link-netns\S* \S+/g, '')
      .split('\n')
      .filter((line) => !/fe80::|ff00::|valid_lft/.test(line));
  // Nor has it the state of every link at once.
  const different = (): string[] => {
    const [made, wanted] = [plain(seenIn(one)), plain(seenIn(other))];
    return [...made, ...wanted].filter((line) => !(made.includes(line) && wanted.includes(line)));
  };
  await expect.poll(different, { timeout: 20_000 }).toEqual([]);
  expect(plain(seenIn(one))).toHaveLength(plain(seenIn(other)).length);
});

test('a link may begin in one namespace and end in another, below a bridge by its index', async () => {
  const port = `link add port up master if77 netns ${one} type veth peer name eth0 netns ${other}`;
  await runSteps([
    { kind: 'add-netns', name: one },
    { kind: 'add-netns', name: other },
  ]);
  sh(`ip -n ${one} link add br0 index 77 type bridge`);
  await runSteps([{ kind: 'ip', lines: [port] }]);
  expect(sh(`ip -n ${one} -o link show port`)).toContain('master br0');
  expect(sh(`ip -n ${other} -o link show eth0`)).toContain('eth0');
});

test('entries of endpoints elsewhere are what bridge and ip make of them, and go as they came', async () => {
  const make = `
    ip link add vx77 netns NS type vxlan id 77 dstport PORT nolearning local LOCAL
    ip -n NS link add br77 type bridge; ip -n NS link set br77 up; ip -n NS link set vx77 master br77 up`;
  const puts = (netns: string, vtep: string): Step[] => [
    {
      kind: 'bridge',
      netns,
      lines: [1, 2, 3].map(
        (last) => `fdb replace 02:42:0a:00:01:0${last} dev vx77 dst ${vtep} self master static`,
      ),
    },
    {
      kind: 'bridge',
      netns,
      lines: [`fdb replace 02:42:0a:00:01:04 dev vx77 dst ${vtep} self permanent`],
    },
    {
      kind: 'ip',
      netns,
      lines: ['10.0.1.1', '10.0.1.2', 'fd00::1', 'fd00::2'].map(
        (address) => `neigh replace ${address} lladdr 02:42:0a:00:01:01 dev br77 nud permanent`,
      ),
    },
  ];
  const deletes = (netns: string, vtep: string): Step[] => [
    {
      kind: 'bridge',
      netns,
      lines: [
        `fdb del 02:42:0a:00:01:02 dev vx77 dst ${vtep} self master`,
        'fdb del 02:42:0a:00:01:03 dev vx77 master',
        `fdb del 02:42:0a:00:01:04 dev vx77 dst ${vtep} self`,
      ],
    },
    { kind: 'ip', netns, lines: ['neigh del 10.0.1.2 dev br77', 'neigh del fd00::2 dev br77'] },
  ];
  const seen = (netns: string): string[] =>
    sh(`bridge -n ${netns} fdb show; ip -n ${netns} neigh; ip -n ${netns} -6 neigh`)
      .split('\n')
      .filter((line) => line.includes('02:42:0a') || line.includes('PERMANENT'))
      .toSorted();
  for (const [local, vtep] of [
    ['127.0.0.1', '10.99.0.2'],
    ['::1', '2001:db8:99::2'],
  ] as const) {
    for (const [at, netns] of [one, other].entries()) {
      const words = make.replaceAll('NS', netns).replaceAll('LOCAL', local);
      sh(`ip netns add ${netns}\n${words.replaceAll('PORT', String(47_890 + at))}`);
    }
    for (const steps of [puts, deletes]) {
      expect(jobOf(steps(one, vtep))).toBeDefined();
      await runSteps(steps(one, vtep));
      sh(scriptOf(steps(other, vtep)));
      expect(seen(one)).toEqual(seen(other));
      expect(seen(one).length).toBeGreaterThan(3);
    }
    remove();
  }
});

test('batches that programs read faster are left to them', () => {
  const neighbour = 'neigh replace 10.0.1.1 lladdr 02:42:0a:00:01:01 dev lo nud permanent';
  const steps = (lines: number): Step[] => [
    { kind: 'ip', netns: one, lines: Array.from({ length: lines }, () => neighbour) },
  ];
  expect(jobOf(steps(WORKER_LINES_MAX))).toBeDefined();
  expect(jobOf(steps(WORKER_LINES_MAX + 1))).toBeUndefined();
});

test('without LuaJIT programs do the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'worker-'));
  try {
    const [kernel, reading] = ['kernel', 'reading'].map((name) =>
      join(import.meta.dirname, `../src/apply/${name}.ts`),
    );
    for (const name of ['sh', 'setpriv', 'nsenter', 'unshare', 'ip', 'nft', 'head', 'tr']) {
      symlinkSync(sh(`command -v ${name}`).trim(), join(folder, name));
    }
    const program = `
      const { runSteps } = await import(${JSON.stringify(kernel)});
      const steps = ${JSON.stringify(linesIn(one))};
      await runSteps(steps.slice(0, 2));
      await runSteps(steps.slice(2));
      const { listInScratch, listRules } = await import(${JSON.stringify(reading)});
      const { signal } = new AbortController();
      console.log(await listRules('ip t', { netns: ${JSON.stringify(one)}, signal }));
      console.log(await listInScratch('add table ip u\\nadd chain ip u tried\\n', signal));`;
    const argv = ['--input-type=module', '-e', program];
    const options = { env: { PATH: folder }, encoding: 'utf8' } as const;
    const said = execFileSync(process.execPath, argv, options);
    expect(seenIn(one)).toContain('jump c');
    expect(said).toMatch(/jump c[^]*chain tried/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('links are removed, those that are there', async () => {
  await runSteps([{ kind: 'add-netns', name: one }]);
  sh(`ip -n ${one} link add left type bridge; ip -n ${one} link add stays type bridge`);
  const steps: Step[] = [{ kind: 'delete-links', netns: one, names: ['never', 'left', 'left'] }];
  expect(jobOf(steps)).toBeDefined();
  await runSteps(steps);
  expect(sh(`ip -n ${one} -br link | cut -d' ' -f1`)).toBe('lo\nstays\n');
});

test('it stops at what fails, and says which and why', async () => {
  await runSteps([{ kind: 'add-netns', name: one }]);
  const address = 'addr add 10.0.1.5/24 dev lo';
  const lines = [address, address, 'link set lo up'];
  await expect(runSteps([{ kind: 'ip', netns: one, lines }])).rejects.toThrow(
    /^File exists.* in:\naddr add 10.0.1.5\/24 dev lo$/,
  );
  expect(sh(`ip -n ${one} -o link show lo`)).not.toContain('LOWER_UP');
  const nft = (text: string): Promise<void> => runSteps([{ kind: 'nft', netns: one, text }]);
  await expect(nft('add table ip t\nadd chain ip no c\n')).rejects.toThrow(
    /No such file or directory[^]* in:\nnft - add table ip t/,
  );
  expect(sh(`ip netns exec ${one} nft list ruleset`)).toBe('');
  await expect(runSteps([{ kind: 'delete-netns', name: third }])).rejects.toThrow(
    /No such file or directory/,
  );
});

test('rules are listed as nft lists them, and what is tried out is nowhere', async () => {
  const { signal } = new AbortController();
  const text = 'table ip t {\n  chain c {\n    counter accept\n    udp dport 53 drop\n  }\n}\n';
  await runSteps([
    { kind: 'add-netns', name: one },
    { kind: 'nft', netns: one, text },
  ]);
  const listed = sh(`nsenter --net=/run/netns/${one} nft -s list table ip t`).trim();
  expect(listed).toContain('udp dport 53 drop');
  expect(await listRules('ip t', { netns: one, signal })).toBe(listed);
  await expect(listRules('ip u', { netns: one, signal })).rejects.toThrow('No such file');
  const tables = sh('nft list tables');
  expect(await listInScratch(text.replace(' t ', ' u '), signal)).toBe(
    listed.replace(' t ', ' u '),
  );
  expect(sh('nft list tables')).toBe(tables);
  await expect(listInScratch('table ip t { chain c { no } }\n', signal)).rejects.toThrow('syntax');
  const rules = Array.from({ length: 2_000 }, (_, i) => `add rule ip t c udp dport ${i + 1} drop`);
  await runSteps([{ kind: 'nft', netns: one, text: `${rules.join('\n')}\n` }]);
  expect((await listRules('ip t', { netns: one, signal })).split('\n')).toHaveLength(2_006);
});

test('once at rest, it holds no namespace that was removed', async () => {
  await runSteps([{ kind: 'add-netns', name: one }]);
  const inode = sh(`stat -L -c %i /run/netns/${one}`).trim();
  const text = 'add table ip t\ndelete table ip t\n';
  await runSteps([{ kind: 'nft', netns: one, text }]);
  await runSteps([{ kind: 'delete-netns', name: one }]);
  await runSteps([{ kind: 'add-netns', name: other }]);
  // Long before it ends because nothing is to be done.
  await until('the namespace to be gone', () => !isHeld(inode), HELPER_IDLE_MS / 2);
});

/** Whether a child of ours is in the namespace, or has a socket beside its three pipes to us. */
function isHeld(inode: string): boolean {
  return children().some((pid) => {
    const files = filesOf(pid).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
    const sockets = files.filter((file) => file.startsWith('socket:'));
    return linkOf(`/proc/${pid}/ns/net`) === `net:[${inode}]` || sockets.length > 3;
  });
}

/** Empty where it has just been closed. */
function linkOf(path: string): string {
  return unlessGone(() => readlinkSync(path, { encoding: 'utf8' }), '');
}

/** None of a process that has just ended. */
function filesOf(pid: string): string[] {
  return unlessGone(() => readdirSync(`/proc/${pid}/fd`), []);
}

function unlessGone<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return otherwise;
    throw error;
  }
}

function children(): string[] {
  return readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean);
}

/** Long enough for a job on a busy machine, the start of the worker included. */
const HANGS_MS = 3_000;

test('a job that was cut off is not begun; one that hangs is given up, and the next is done', async () => {
  const worker = openWorker({ timeoutMs: HANGS_MS });
  const job = jobOf([{ kind: 'add-netns', name: one }]);
  const bytes = job?.bytes ?? Buffer.alloc(0);
  // Says that more is to come.
  const head = bytes.toString().replace(/^add/, 'in').replace(one, '-');
  await worker.run(Buffer.from(head));
  const stopped = Number(children().at(-1));
  process.kill(stopped, 'SIGSTOP');
  await expect(worker.run(bytes)).rejects.toMatchObject({ code: 'deadline-exceeded' });
  expect(existsSync(`/run/netns/${one}`)).toBe(false);
  await worker.run(bytes);
  expect(existsSync(`/run/netns/${one}`)).toBe(true);
});
