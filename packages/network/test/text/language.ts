/**
 * The language of the cases in `testdata`. A case describes what a cluster is, seen from node 1:
 *
 *   nodes 3                    ("nodes 3 ipv6": which send each other containers' packets by IPv6)
 *   ring 1,2 sends 1           (keys of encrypted networks; every other node takes part as "boot N")
 *   mesh encrypted
 *   booted 2 again             (node 2 takes part under another name)
 *   network front 4097 [internal] [ipv6] [encrypted] [mtu 1300] [driver macvlan parent eth1] [gateway 10.0.1.254]
 *   task web1 node 1 service web slot 1 host 11 on front,back [alias www] [draining]
 *   vip web 2                  (host part of its address on every network; 0 is dnsrr)
 *   sticky web 60              (clients of its virtual address stay; remembered for 60 s, 0: not)
 *   port tcp 8080:80 web1 web2 [at 10.99.0.1] [snat] [local] [sticky 60]
 */
import type { NetworkSpec, PortConfig } from '@swarmd/model';

import { gatewayAddressOf, network, port, type Cluster, type Placed } from '../lab/cluster.ts';

type Mutable = { -readonly [K in keyof Cluster]: Cluster[K] };

export function parseCluster(lines: readonly string[]): Cluster {
  const cluster: Mutable = { nodes: 1, tasks: [], vips: {}, ports: [], networks: [] };
  for (const line of lines) {
    const [kind = '', ...words] = line.trim().split(/\s+/);
    statement(cluster, kind, words);
  }
  return cluster;
}

function statement(cluster: Mutable, kind: string, words: readonly string[]): void {
  const [first = '', second = '', ...rest] = words;
  switch (kind) {
    case 'nodes':
      cluster.nodes = Number(first);
      if (words[1] === 'ipv6') cluster.dataPath6 = true;
      return;
    case 'network': {
      const mtu = Number(after(rest, 'mtu') ?? 0);
      const driver = after(rest, 'driver') as NetworkSpec['driver'] | undefined;
      const parent = after(rest, 'parent');
      const gateway = after(rest, 'gateway');
      const made = network(first, Number(second), {
        internal: rest.includes('internal'),
        ipv6: rest.includes('ipv6'),
        encrypted: rest.includes('encrypted'),
        mtu,
        ...(driver === undefined ? {} : { driver }),
        ...(parent === undefined ? {} : { parent }),
        ...(gateway === undefined ? {} : { gateway }),
      });
      cluster.networks = [...cluster.networks, made];
      return;
    }
    case 'ring':
      cluster.ring = { ids: first.split(',').map(Number), primary: Number(rest[0]) };
      return;
    case 'mesh':
      cluster.encryptsMesh = first === 'encrypted';
      return;
    case 'booted':
      cluster.booted = { ...cluster.booted, [first]: second };
      return;
    case 'task':
      cluster.tasks = [...cluster.tasks, parseTask(cluster, first, words)];
      return;
    case 'vip':
      cluster.vips = { ...cluster.vips, [first]: Number(second) };
      return;
    case 'sticky':
      cluster.affinity = { ...cluster.affinity, [first]: Number(second) * 1_000 };
      return;
    case 'port':
      cluster.ports = [
        ...cluster.ports,
        parsePort(cluster, first as PortConfig['protocol'], words.slice(1)),
      ];
      return;
    default:
      throw new Error(`unknown statement "${kind}"`);
  }
}

function parseTask(cluster: Cluster, id: string, words: readonly string[]): Placed {
  const names = (after(words, 'on') ?? '').split(',');
  const alias = after(words, 'alias');
  return {
    id,
    node: Number(after(words, 'node')),
    service: after(words, 'service') ?? '',
    slot: Number(after(words, 'slot') ?? 1),
    host: Number(after(words, 'host')),
    networks: cluster.networks.filter(({ spec }) => names.includes(spec.name)),
    serving: !words.includes('draining'),
    ...(alias === undefined ? {} : { aliases: [alias] }),
  };
}

function parsePort(cluster: Cluster, protocol: PortConfig['protocol'], words: readonly string[]) {
  const [numbers = '', ...ids] = words;
  const stays = ids.includes('sticky');
  const [published, target] = numbers.split(':').map(Number);
  const backends = cluster.tasks.filter(({ id }) => ids.includes(id)).map(gatewayAddressOf);
  return port('web', published ?? 0, {
    protocol,
    targetPort: target ?? 80,
    backends,
    address: after(words, 'at') ?? '',
    source: ids.includes('snat') ? 'snat' : 'preserve',
    localOnly: ids.includes('local'),
    affinity: stays ? 'client-ip' : 'none',
    affinityTimeoutMs: Number(after(words, 'sticky') ?? 0) * 1_000,
  });
}

function after(words: readonly string[], word: string): string | undefined {
  const at = words.indexOf(word);
  return at < 0 ? undefined : words[at + 1];
}
