/** The two clusters that are compared, on the same hosts: ours, and etcd as Debian ships it. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { CACHE_DIR, unpackPackages, waitUntil, type Host, type Lab } from '@swarmd/lab';

import {
  WARM_UP_MAX_MS,
  type LoadOrder,
  type LoadResult,
  type Target,
  type TraceLine,
} from './load.ts';

const LOAD_PROGRAM = fileURLToPath(new URL('./load-main.ts', import.meta.url));
const WAIT_MS = 30_000;
const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
/** Beyond the default quota of 2 GiB: nothing is compacted here. */
const ETCD_QUOTA_BYTES = 8 * 1024 ** 3;

export interface Side {
  readonly name: string;
  leader(): Promise<Host>;
  /** What a client on `host` connects to. */
  target(host: Host): Target;
  /** kill -9 of everything that serves there. */
  kill(host: Host): Promise<void>;
  /** Starts it again and waits until it takes part. */
  revive(host: Host): Promise<void>;
}

/** Starts three members of etcd with its default timing (heartbeat 100 ms, election 1 s) beside swarmd. */
export async function startEtcd(lab: Lab): Promise<Side> {
  const root = `${CACHE_DIR}/etcd-server`;
  const binary = `${root}/usr/bin/etcd`;
  if (!existsSync(binary)) await unpackPackages(['etcd-server'], root);
  const members = lab.nodes.map((host) => `${host.name}=http://${host.place.address}:${PEER_PORT}`);
  const start = (host: Host): Promise<void> => {
    const url = (port: number): string => `http://${host.place.address}:${port}`;
    const flags = {
      name: host.name,
      'data-dir': '/var/lib/swarmd/etcd',
      'listen-client-urls': url(CLIENT_PORT),
      'advertise-client-urls': url(CLIENT_PORT),
      'listen-peer-urls': url(PEER_PORT),
      'initial-advertise-peer-urls': url(PEER_PORT),
      'initial-cluster': members.join(','),
      'quota-backend-bytes': String(ETCD_QUOTA_BYTES),
      'log-level': 'warn',
    };
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    return host.startService('etcd', [binary, ...words]);
  };
  for (const host of lab.nodes) await start(host);
  const side: Side = {
    name: 'etcd',
    leader: () => find(lab, isEtcdLeader, 'etcd to have a leader'),
    target: (host) => ({ kind: 'etcd', address: `${host.place.address}:${CLIENT_PORT}` }),
    kill: (host) => host.stopService('etcd', 'KILL'),
    revive: async (host) => {
      await start(host);
      await find(
        lab,
        async (one) => one === host && (await etcdStatus(host)) !== undefined,
        'etcd',
      );
    },
  };
  await side.leader();
  return side;
}

interface EtcdStatus {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
}

/** Undefined while it does not answer. */
async function etcdStatus(host: Host): Promise<EtcdStatus | undefined> {
  const url = `http://${host.place.address}:${CLIENT_PORT}/v3/maintenance/status`;
  const { code, stdout } = await host.exec(['curl', '-s', '-m', '2', '-d', '{}', url], {
    okCodes: [0, 7, 28, 52, 56],
  });
  return code === 0 ? (JSON.parse(stdout) as EtcdStatus) : undefined;
}

async function isEtcdLeader(host: Host): Promise<boolean> {
  const status = await etcdStatus(host);
  return status?.leader !== undefined && status.leader === status.header.member_id;
}

/** `via`: the control API on TCP with mutual TLS, or the local socket. */
export function swarm(lab: Lab, via: 'tcp' | 'socket'): Side {
  return {
    name: `swarm-${via}`,
    leader: () => find(lab, isSwarmLeader, 'our managers to have a leader'),
    target: (host) =>
      via === 'socket'
        ? { kind: 'swarm-socket', path: '/run/swarmd/control.sock' }
        : {
            kind: 'swarm',
            address: `${host.place.address}:4242`,
            identityDir: '/var/lib/swarmd/identity',
          },
    kill: (host) => host.killService('swarmd'),
    revive: async (host) => {
      await lab.cluster.startDaemon(host);
      await lab.cluster.allReady(host);
    },
  };
}

async function isSwarmLeader(host: Host): Promise<boolean> {
  const { code, stdout } = await host.exec(
    ['swarmctl', 'swarm', 'raft', 'status', '--format', 'json'],
    { okCodes: [0, 1, 2, 3, 4, 5] },
  );
  if (code !== 0) return false;
  const [status] = JSON.parse(stdout) as { leader: number; raftId: number }[];
  return status !== undefined && status.leader === status.raftId;
}

function find(lab: Lab, fits: (host: Host) => Promise<boolean>, what: string): Promise<Host> {
  return waitUntil({ what, timeoutMs: WAIT_MS }, async () => {
    for (const host of lab.nodes) if (await fits(host)) return host;
    return undefined;
  });
}

/** Runs a load process on a host to its end. */
export async function load(
  host: Host,
  order: LoadOrder,
): Promise<LoadResult & { readonly trace: TraceLine[] }> {
  const { stdout } = await host.exec([process.execPath, LOAD_PROGRAM, JSON.stringify(order)], {
    timeoutMs: WARM_UP_MAX_MS + order.measureMs + 2 * order.timeoutMs + WAIT_MS,
  });
  const lines = stdout.trim().split('\n');
  const result = JSON.parse(lines.pop() ?? '') as LoadResult;
  return { ...result, trace: lines.map((line) => JSON.parse(line) as TraceLine) };
}
