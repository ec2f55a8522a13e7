/**
 * The cluster that the tests of traffic and of changes run on: three hosts, a service with a task on
 * each, clients, an internal network, and a name server outside. The second host has a foreign
 * firewall, as Docker or ufw make it.
 */
import {
  gatewayAddressOf,
  network,
  port,
  stateOf,
  task,
  type Cluster,
  type Placed,
} from './cluster.ts';
import { Lab, type Host, type Output } from './lab.ts';
import { SNAPSHOT } from './snapshot.ts';

export const CLIENT = '203.0.113.10';
/** As administrators write them for nftables: what they did not think of is dropped. */
const NFT_FIREWALL = `table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iif lo accept
    meta l4proto ipv6-icmp accept
    tcp dport { 22, 4242-4244 } accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
  }
}`;

export const front = network('front', 4097);
export const back = network('back', 4098, { internal: true });

export const web = [1, 2, 3].map((node) => ({
  id: `web${node}`,
  node,
  service: 'web',
  slot: node,
  host: 10 + node,
  networks: [front],
  aliases: ['www'],
})) as unknown as readonly [Placed, Placed, Placed];
const one = { slot: 1, networks: [front] };
export const client: Placed = { ...one, id: 'cli1', node: 1, service: 'cli', host: 20 };
export const other: Placed = { ...one, id: 'oth2', node: 2, service: 'oth', host: 21 };
export const inner: Placed = {
  ...one,
  id: 'inn1',
  node: 1,
  service: 'inner',
  host: 30,
  networks: [back],
};
export const placed: readonly Placed[] = [...web, client, other, inner];

const allWeb = web.map(gatewayAddressOf);
const secondWeb = [gatewayAddressOf(web[1])];

export const base: Cluster = {
  nodes: 3,
  tasks: placed,
  vips: { web: 2, cli: 3, oth: 0, idle: 9 },
  networks: [front, back],
  ports: [
    port('web', 8080, { backends: allWeb }),
    port('web', 8080, { backends: allWeb, protocol: 'udp' }),
    port('web', 8081, { backends: secondWeb }),
    port('web', 8082, { backends: secondWeb, targetPort: 81 }),
    port('web', 8083, { backends: secondWeb, protocol: 'udp' }),
    port('web', 8090, { backends: [] }),
    port('inner', 8091, { backends: [gatewayAddressOf(inner)] }),
  ],
};

export interface DigOptions {
  readonly type?: string;
  readonly transport?: 'udp' | 'tcp';
}

export class Scenario implements AsyncDisposable {
  readonly lab: Lab;
  readonly hosts: readonly [Host, Host, Host];
  /** What the hosts were before we touched them. */
  readonly before: readonly string[];

  private constructor(lab: Lab, before: readonly string[]) {
    this.lab = lab;
    this.hosts = lab.hosts as unknown as readonly [Host, Host, Host];
    this.before = before;
  }

  static async open(): Promise<Scenario> {
    const lab = await Lab.open(3);
    const upstream = `${import.meta.dirname}/upstream.ts`;
    const server = lab.start('cl', process.execPath, upstream, CLIENT);
    const listening = new Promise((resolve) => server.stdout.once('data', resolve));
    const [, second, third] = lab.hosts;
    await second?.sh(`
      iptables -P FORWARD DROP; iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT
      iptables -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT`);
    await third?.sh(`nft -f - <<'END'\n${NFT_FIREWALL}\nEND`);
    const before = await Promise.all(lab.hosts.map(snapshot));
    await listening;
    const scenario = new Scenario(lab, before);
    const dnsUpstreams = [`${CLIENT}:9`, CLIENT];
    await Promise.all(lab.hosts.map((host) => host.open({ dnsUpstreams })));
    await scenario.apply(base);
    await Promise.all(placed.map((one) => scenario.hostOf(one).attach(task(one))));
    await Promise.all([...web, inner].map((one) => scenario.hostOf(one).serve(one.id)));
    return scenario;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }

  async apply(cluster: Cluster): Promise<void> {
    await Promise.all(this.hosts.map((host, i) => host.apply(stateOf(cluster, i + 1))));
  }

  hostOf({ node }: Placed): Host {
    const host = this.hosts[node - 1];
    if (host === undefined) throw new Error(`there is no host ${node}`);
    return host;
  }

  /** Runs a shell script in a container. */
  from(one: Placed, script: string): Promise<Output> {
    return this.hostOf(one).in(one.id, 'sh', '-c', script);
  }

  /** Runs a shell script on the client outside. */
  outside(script: string): Promise<Output> {
    return this.lab.run('cl', 'sh', '-c', script);
  }

  /** What a container hears from 127.0.0.11, by name: the code and the sorted data. */
  async dig(
    one: Placed,
    names: readonly string[],
    { type = 'A', transport = 'udp' }: DigOptions = {},
  ): Promise<Record<string, unknown[]>> {
    const argv = [process.execPath, `${import.meta.dirname}/dig.ts`, '127.0.0.11', transport, type];
    const { out, err } = await this.hostOf(one).in(one.id, 'timeout', '50', ...argv, ...names);
    if (out === '') throw new Error(err);
    const answers = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; code: number; data: string[] });
    return Object.fromEntries(answers.map(({ name, code, data }) => [name, [code, ...data]]));
  }
}

/** All that a host has which we might change. */
export async function snapshot(host: Host): Promise<string> {
  return (await host.sh(SNAPSHOT.join('; echo --; '))).out;
}
