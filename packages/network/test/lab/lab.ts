/**
 * A laboratory of namespaces: a switch that is also a router, hosts on it, and a client outside.
 *
 *   client 203.0.113.10 -- 203.0.113.1 switch 10.99.0.254 -- hosts 10.99.0.1, .2, ...
 *   2001:db8:113::10 -- 2001:db8:113::1 switch 2001:db8:99::254 -- hosts 2001:db8:99::1, ::2, ...
 *
 * Everything lives in one private network, mount and process namespace, held by one process: when
 * that ends, for whatever reason, nothing of the lab is left.
 */
import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { NetworkFinding, NetworkState, NodeEncryption, Task } from '@swarmd/model';

import type { NetworkScope } from '../../src/desired/scope.ts';
import type { NetworkAttachment } from '../../src/index.ts';
import type { OpenOptions } from './host.ts';
import { eventually } from './traffic.ts';

export interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A process that answers lines of JSON. */
class Remote {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, { ok: (value: never) => void; fail: (e: Error) => void }>();
  #count = 0;
  log = '';

  constructor(argv: readonly string[]) {
    const [program = '', ...args] = argv;
    this.#process = spawn(program, args);
    this.#process.stderr.on('data', (data: Buffer) => (this.log += data.toString()));
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#answer(line));
    this.#process.on('close', () => {
      for (const { fail } of this.#waiting.values()) fail(new Error(`host ended: ${this.log}`));
      this.#waiting.clear();
    });
  }

  call<T>(method: string, argument: unknown): Promise<T> {
    this.#count += 1;
    const id = this.#count;
    return new Promise<T>((ok, fail) => {
      this.#waiting.set(id, { ok, fail });
      this.#process.stdin.write(`${JSON.stringify({ id, method, argument })}\n`);
    });
  }

  #answer(line: string): void {
    const { id, result, error } = JSON.parse(line) as { id: number; result: never; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.ok(result);
    else waiting?.fail(new Error(`${error}\n${this.log}`));
  }
}

export class Host {
  readonly #remote: Remote;
  readonly address: string;

  constructor(remote: Remote, address: string) {
    this.#remote = remote;
    this.address = address;
  }

  open(options: OpenOptions = {}): Promise<void> {
    return this.#remote.call('open', options);
  }
  close(): Promise<void> {
    return this.#remote.call('close', undefined);
  }
  apply(state: NetworkState): Promise<void> {
    return this.#remote.call('apply', state);
  }
  /** Applies the last state again with these endpoints added, or instead of those of the same tasks. */
  change(endpoints: NetworkState['endpoints']): Promise<void> {
    return this.#remote.call('change', { endpoints });
  }
  encryption(): Promise<NodeEncryption> {
    return this.#remote.call('encryption', undefined);
  }
  attach(task: Task): Promise<NetworkAttachment> {
    return this.#remote.call('attach', task);
  }
  detach(taskId: string): Promise<void> {
    return this.#remote.call('detach', taskId);
  }
  attached(): Promise<string[]> {
    return this.#remote.call('attached', undefined);
  }
  check(repair = false, scope?: NetworkScope): Promise<NetworkFinding[]> {
    return this.#remote.call('check', { repair, scope });
  }
  destroy(): Promise<void> {
    return this.#remote.call('destroy', undefined);
  }
  /** Runs a program on the host; never fails because of its exit code. */
  run(...argv: string[]): Promise<Output> {
    return this.#remote.call('run', { argv });
  }
  sh(script: string): Promise<Output> {
    return this.#remote.call('run', { argv: ['sh', '-s'], input: script });
  }
  /** Lets the time of a guard period pass. */
  guard(): Promise<void> {
    return this.#remote.call('guard', undefined);
  }
  /** What its plane has used of the processors, without the programs it ran, and holds of the memory. */
  use(): Promise<{ cpuMs: number; neededBytes: number; residentBytes: number }> {
    return this.#remote.call('use', undefined);
  }
  /** Its process id within the lab. */
  pid(): Promise<string> {
    return this.#remote.call('pid', undefined);
  }
  /** Runs a program in a container. */
  in(taskId: string, ...argv: string[]): Promise<Output> {
    return this.run('nsenter', `--net=/run/netns/swt-${taskId}`, ...argv);
  }
  /** Starts servers in a container: ports 80 answer its name and the client's address, 81 echoes. */
  async serve(taskId: string): Promise<void> {
    const answer = `'SYSTEM:echo ${taskId} $SOCAT_PEERADDR'`;
    const inside = `nsenter --net=/run/netns/swt-${taskId} setsid`;
    await this.sh(`exec >/dev/null 2>&1 </dev/null
      ${inside} socat TCP-LISTEN:80,fork,reuseaddr ${answer} &
      ${inside} socat TCP-LISTEN:81,fork,reuseaddr PIPE &
      ${inside} ${process.execPath} ${import.meta.dirname}/udp-server.ts ${taskId} &`);
    await eventually(`${taskId} serves`, async () => {
      const { out } = await this.in(taskId, 'ss', '-Hlntu');
      return [':80 ', ':81 '].every((port) => out.includes(port)) && /udp.*:80 /.test(out);
    });
  }
  /** Ends a container without a goodbye, as when its machine loses power. */
  async crash(taskId: string): Promise<void> {
    const netns = `swt-${taskId}`;
    await this.sh(`
      ip -n ${netns} link set gw0 down; ip -n ${netns} link set eth0 down
      kill -9 $(ip netns pids ${netns})`);
  }
  /** What the plane logged as warnings. */
  get log(): string {
    return this.#remote.log;
  }
}

export class Lab implements AsyncDisposable {
  readonly #holder: ChildProcess;
  readonly hosts: Host[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(count: number): Promise<Lab> {
    // The shell stays the first process of its namespace: all others end with it.
    const setup = [
      'mount -t tmpfs none /run; mount -t proc none /proc',
      ...topology(count),
      'echo ready',
      'cat',
      'exit 0',
    ];
    const options = ['-mnpf', '--kill-child', '--propagation', 'private'];
    const holder = spawn('unshare', [...options, 'sh', '-ec', setup.join('\n')]);
    const lab = new Lab(holder);
    let said = '';
    holder.stderr.on('data', (data: Buffer) => (said += data.toString()));
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('close', () => reject(new Error(`the lab did not come up: ${said}`)));
    });
    for (let i = 1; i <= count; i += 1) lab.hosts.push(new Host(lab.#startHost(i), `10.99.0.${i}`));
    return lab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#holder.once('close', () => resolve()));
    this.#holder.stdin?.end();
    await closed;
  }

  /** Runs a program in a namespace of the lab, e.g. the outside client "cl". */
  async run(netns: string, ...argv: string[]): Promise<Output> {
    const child = spawn('nsenter', this.#enter(netns, argv));
    let out = '';
    let err = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    const code = await new Promise<number>((resolve) =>
      child.on('close', (c) => resolve(c ?? 255)),
    );
    return { code, out, err };
  }

  /** Starts a program in a namespace of the lab; it ends with the lab. */
  start(netns: string, ...argv: string[]): ChildProcessWithoutNullStreams {
    return spawn('nsenter', this.#enter(netns, argv));
  }

  /** Starts a program in a container of a host; it ends with the lab. */
  async startIn(
    host: Host,
    taskId: string,
    ...argv: string[]
  ): Promise<ChildProcessWithoutNullStreams> {
    const mounts = `--mount=/proc/${await host.pid()}/ns/mnt`;
    const inside = ['nsenter', mounts, 'nsenter', `--net=/run/netns/swt-${taskId}`, ...argv];
    return spawn('nsenter', this.#enter(`h${this.hosts.indexOf(host) + 1}`, inside));
  }

  #startHost(i: number): Remote {
    const script = `mount -t tmpfs none /run && exec ${process.execPath} --expose-gc ${import.meta.dirname}/host.ts`;
    const inner = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script];
    return new Remote(['nsenter', ...this.#enter(`h${i}`, inner)]);
  }

  #enter(netns: string, argv: readonly string[]): string[] {
    const inside = ['nsenter', `--net=/run/netns/${netns}`, ...argv];
    const proc = `/proc/${this.#holder.pid}/ns`;
    return [`--mount=${proc}/mnt`, `--pid=${proc}/pid_for_children`, '--', ...inside];
  }
}

function topology(count: number): string[] {
  const netns = (name: string): string[] => [
    `ip netns add ${name}`,
    `ip -n ${name} link set lo up`,
  ];
  const hosts = Array.from({ length: count }, (_, i) => i + 1).flatMap((i) => [
    ...netns(`h${i}`),
    `ip -n sw link add p${i} type veth peer name eth0 netns h${i}`,
    `ip -n sw link set p${i} master lan up`,
    `ip -n h${i} addr add 10.99.0.${i}/24 dev eth0`,
    `ip -n h${i} link set eth0 up`,
    `ip -n h${i} route add default via 10.99.0.254`,
    `ip -n h${i} addr add 2001:db8:99::${i}/64 dev eth0 nodad`,
    `ip -n h${i} route add default via 2001:db8:99::254`,
  ]);
  return [
    ...netns('sw'),
    'nsenter --net=/run/netns/sw sh -c "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"',
    'nsenter --net=/run/netns/sw sh -c "for f in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > \\$f; done"',
    'ip -n sw link add lan type bridge',
    'ip -n sw link set lan up',
    'ip -n sw addr add 10.99.0.254/24 dev lan',
    'ip -n sw addr add 2001:db8:99::254/64 dev lan nodad',
    ...netns('cl'),
    'ip -n sw link add out type veth peer name eth0 netns cl',
    'ip -n sw link set out up',
    'ip -n sw addr add 203.0.113.1/24 dev out',
    'ip -n cl addr add 203.0.113.10/24 dev eth0',
    'ip -n cl link set eth0 up',
    'ip -n cl route add default via 203.0.113.1',
    'ip -n sw addr add 2001:db8:113::1/64 dev out nodad',
    'ip -n cl addr add 2001:db8:113::10/64 dev eth0 nodad',
    'ip -n cl route add default via 2001:db8:113::1',
    ...hosts,
  ];
}
