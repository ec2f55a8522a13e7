/**
 * A member in a process of its own, so that a test can kill it. Started by fork with RaftOptions as
 * JSON in the first message; answers proposals, and tells its status whenever asked.
 */
import { silentLogger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import { startRaft } from '../../src/node/start-raft.ts';
import type { MembershipChange, Raft, RaftOptions, RaftStatus } from '../../src/node/types.ts';
import { consoleLogger } from './console-logger.ts';
import { ListMachine } from './list-machine.ts';

export type ToMember =
  | { readonly kind: 'start'; readonly options: RaftOptions }
  | { readonly kind: 'propose'; readonly id: number; readonly text: string }
  | { readonly kind: 'change'; readonly id: number; readonly change: MembershipChange }
  | { readonly kind: 'block'; readonly id: number; readonly ms: number }
  /** As `report`, linearizable. */
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'report'; readonly id: number };

export interface MemberReport {
  readonly status: RaftStatus;
  readonly items: readonly string[];
}

export interface FromMember {
  readonly id: number;
  readonly error?: string;
  readonly report?: MemberReport;
}

const machine = new ListMachine();
let raft: Raft | undefined;

function member(): Raft {
  if (raft === undefined) throw new Error('not started');
  return raft;
}

async function perform(message: ToMember): Promise<MemberReport | undefined> {
  const signal = AbortSignal.timeout(20_000);
  switch (message.kind) {
    case 'start':
      raft = await startRaft(message.options, machine, {
        clock: systemClock,
        logger:
          process.env['RAFT_TEST_LOG'] === '1'
            ? consoleLogger(message.options.nodeId)
            : silentLogger,
      });
      return undefined;
    case 'propose':
      await member().propose(Buffer.from(message.text), signal);
      return undefined;
    case 'change':
      await member().changeMembership(message.change, signal);
      return undefined;
    case 'block':
      for (const end = performance.now() + message.ms; performance.now() < end;);
      return undefined;
    case 'read':
      await member().readBarrier(signal);
      return { status: member().status(), items: machine.items };
    case 'report':
      return { status: member().status(), items: machine.items };
    default:
      return message satisfies never;
  }
}

process.on('message', (message: ToMember) => {
  const id = message.kind === 'start' ? 0 : message.id;
  perform(message).then(
    (report) => process.send?.({ id, ...(report && { report }) } satisfies FromMember),
    (error: unknown) => process.send?.({ id, error: String(error) } satisfies FromMember),
  );
});
process.on('disconnect', () => process.exit(0));
