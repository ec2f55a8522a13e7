/** swarmctl swarm raft status: consensus as one manager sees it, also without a quorum. */
import type { RaftMemberInfo, RaftPeerInfo, RaftStatusInfo } from '@swarmd/api';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { json, parseFormat, table, type Column, type Format } from '../output.ts';

const US_PER_MS = 1_000;
const BYTES_PER_KIB = 1_024;

export function addRaftStatus(group: Command, context: Context): void {
  group
    .command('raft')
    .description('consensus between the managers')
    .command('status')
    .description('term, leader, indexes, and what limits each manager, as this one sees it')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { format: Format }) => {
      const { membership } = await context.cluster();
      const status = await membership.status({}, context.call);
      if (flags.format === 'json') {
        context.terminal.out(json([status]));
        return;
      }
      const names = await hostnames(context);
      context.terminal.out(summary(status, names));
      context.terminal.out(table(columns(status, names), status.members));
    });
}

type Names = ReadonlyMap<string, string>;

/** From this manager's own copy: the status is most wanted when there is no quorum. */
async function hostnames(context: Context): Promise<Names> {
  const { control } = await context.cluster();
  const nodes = await control.listNodes({ filter: {} }, { ...context.call, stale: true });
  return new Map(nodes.map((node) => [node.id, node.description?.hostname ?? node.id]));
}

function summary(status: RaftStatusInfo, names: Names): string {
  const { role, term, commit, applied, first, last, snapshot } = status;
  const leader = status.members.find((member) => member.raftId === status.leader);
  const led =
    leader === undefined
      ? '; no leader is known'
      : leader.raftId === status.raftId
        ? ''
        : `; the leader is ${names.get(leader.nodeId) ?? leader.nodeId}${heard(status)}`;
  const handing = status.transferTarget === 0 ? '' : `; handing over to ${status.transferTarget}`;
  const size = `${status.logEntries} entries, ${(status.logBytes / BYTES_PER_KIB).toFixed(1)} KiB`;
  const disk = `${(status.writeP99Us / US_PER_MS).toFixed(2)} ms`;
  return (
    `This manager is ${role} in term ${term}${led}${handing}\n` +
    `Committed ${commit}, applied ${applied}; log ${first} to ${last} (${size}), snapshot at ${snapshot}; ` +
    `synced writes within ${disk} (p99)\n\n`
  );
}

function heard({ leader, raftId, leaderContactMs }: RaftStatusInfo): string {
  if (leader === raftId || leaderContactMs === undefined) return '';
  return `, heard ${leaderContactMs} ms ago`;
}

function columns(status: RaftStatusInfo, names: Names): Column<RaftMemberInfo>[] {
  const peers = new Map(status.peers.map((peer) => [peer.raftId, peer]));
  const progress = new Map(status.progress.map((one) => [one.raftId, one]));
  const ofPeer =
    (value: (peer: RaftPeerInfo) => string | number | undefined) =>
    ({ raftId }: RaftMemberInfo): string => {
      const peer = peers.get(raftId);
      return peer === undefined ? '' : String(value(peer) ?? '');
    };
  const isSelf = (member: RaftMemberInfo): boolean => member.raftId === status.raftId;
  return [
    {
      title: 'NODE',
      value: (member) => (names.get(member.nodeId) ?? member.nodeId) + (isSelf(member) ? ' *' : ''),
    },
    { title: 'RAFT ID', value: ({ raftId }) => String(raftId) },
    { title: 'ADDRESS', value: ({ address }) => address },
    { title: 'ROLE', value: (m) => (m.raftId === status.leader ? 'leader' : m.role) },
    { title: 'STREAM', value: ofPeer((peer) => peer.connection) },
    {
      title: 'HEARD',
      value: ofPeer(({ lastContactMs }) =>
        lastContactMs === undefined ? 'never' : `${lastContactMs} ms ago`,
      ),
    },
    { title: 'STATE', value: ({ raftId }) => progress.get(raftId)?.state ?? '' },
    { title: 'MATCH', value: ({ raftId }) => String(progress.get(raftId)?.match ?? '') },
    { title: 'BEHIND', value: ofPeer((peer) => peer.behind) },
    { title: 'LIMITED BY', value: ofPeer((peer) => peer.limit || peer.connectionError) },
  ];
}
