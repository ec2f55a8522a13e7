/** The leader is killed with kill -9 under writers on another manager: how long no write is accepted. */
import type { Lab } from '@swarmd/lab';

import { print } from '../statistics.ts';
import type { TraceLine } from './load.ts';
import { load, type Side } from './sides.ts';

/** Longer than an election after a split vote. */
const WATCH_MS = 8_000;
const BEFORE_KILL_MS = 2_000;
/** A write that a lost leader holds is given up after so long, as an impatient user would. */
const WRITE_TIMEOUT_MS = 5_000;

export async function failover(lab: Lab, side: Side, runs: number): Promise<void> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const leader = await side.leader();
    const asked = lab.nodes.find((host) => host !== leader);
    if (asked === undefined) throw new Error('one manager alone cannot be replaced');
    const writing = load(asked, {
      target: side.target(asked),
      clients: 4,
      warmupWrites: 0,
      measureMs: BEFORE_KILL_MS + WATCH_MS,
      valueBytes: 1024,
      prefix: `failover-${side.name}-${run}`,
      timeoutMs: WRITE_TIMEOUT_MS,
      trace: true,
    });
    await new Promise((resolve) => setTimeout(resolve, BEFORE_KILL_MS));
    const killed = Date.now();
    await side.kill(leader);
    values.push(outage((await writing).trace, killed));
    await side.revive(leader);
  }
  print('raft', {
    metric: 'leader_killed_to_next_write',
    unit: 'ms',
    values,
    ...(side.name === 'etcd' ? {} : { target: 2000 }),
    side: side.name,
  });
}

/** From the kill to the end of the longest time without an acknowledgement after it. */
function outage(trace: readonly TraceLine[], killed: number): number {
  const acknowledged = trace
    .filter((line) => line.ok && line.ended >= killed)
    .map((line) => line.ended)
    .toSorted((a, b) => a - b);
  let before = killed;
  let longest = { gap: 0, end: Number.NaN };
  for (const at of acknowledged) {
    if (at - before > longest.gap) longest = { gap: at - before, end: at };
    before = at;
  }
  if (Number.isNaN(longest.end)) throw new Error(`no write was accepted in ${WATCH_MS} ms`);
  return longest.end - killed;
}
