/** The commands of quorum scripts: committed and vote, over one majority or two. */
import {
  allVoters,
  jointIndex,
  jointVote,
  type VoteResult,
  type Voters,
} from '../../core/quorum.ts';
import type { RaftId } from '../../core/types.ts';
import type { ScriptCase } from './datadriven.ts';

const RESULTS: Readonly<Record<VoteResult, string>> = {
  won: 'VoteWon',
  lost: 'VoteLost',
  pending: 'VotePending',
};

/** Undefined if it is none of these commands. */
export function runQuorum(test: ScriptCase): string[] | undefined {
  if (test.command !== 'committed' && test.command !== 'vote') return undefined;
  const first = values(test, 'cfg').map(Number);
  const second = values(test, 'cfgj')
    .filter((value) => value !== 'zero')
    .map(Number);
  const voters: Voters = { incoming: new Set(first), outgoing: new Set(second) };
  const given = values(test, test.command === 'vote' ? 'votes' : 'idx');
  const order = [...new Set([...first, ...second])];
  if (order.length !== given.length) {
    const map = allVoters(voters).map((id) => `${id}:{}`);
    return [
      `error: mismatched input (explicit or _) for voters map[${map.join(' ')}]: [${given.join(' ')}]`,
    ];
  }
  const known = new Map<RaftId, string>();
  for (const [position, id] of order.entries()) {
    const value = given[position];
    if (value !== undefined && value !== '_') known.set(id, value);
  }
  return test.command === 'vote' ? runVote(voters, known) : runCommitted(voters, known);
}

function runVote(voters: Voters, known: ReadonlyMap<RaftId, string>): string[] {
  const votes = new Map([...known].map(([id, vote]) => [id, vote === 'y']));
  const result = jointVote(voters, votes);
  const swapped = jointVote({ incoming: voters.outgoing, outgoing: voters.incoming }, votes);
  const odd = result === swapped ? [] : [`${RESULTS[swapped]} <-- via symmetry`];
  return [...odd, RESULTS[result]];
}

function runCommitted(voters: Voters, known: ReadonlyMap<RaftId, string>): string[] {
  const reached = (id: RaftId): number | undefined =>
    known.has(id) ? Number(known.get(id)) : undefined;
  const index = jointIndex(voters, reached);
  const result = index === Infinity ? '∞' : String(index);
  const ids = allVoters(voters);
  if (ids.length === 0) return [`<empty majority quorum>${result}`];
  const swapped = { incoming: voters.outgoing, outgoing: voters.incoming };
  const odd = jointIndex(swapped, reached) === index ? [] : ['<-- via symmetry'];
  return [...bars(ids, reached), ...odd, result];
}

/** One bar for each voter, as long as the number of voters that are behind it. */
function bars(ids: readonly RaftId[], reached: (id: RaftId) => number | undefined): string[] {
  const width = ids.length;
  const lines = ids.map((id) => {
    const index = reached(id);
    const behind = ids.filter((other) => (reached(other) ?? 0) < (index ?? 0)).length;
    const bar =
      index === undefined
        ? `?${' '.repeat(width)}`
        : `${'x'.repeat(behind)}>${' '.repeat(width - behind)}`;
    return `${bar} ${String(index ?? 0).padStart(5)}    (id=${id.toString(16)})`;
  });
  return [`${' '.repeat(width)}    idx`, ...lines];
}

function values(test: ScriptCase, key: string): readonly string[] {
  return test.args.find((arg) => arg.key === key)?.values ?? [];
}
