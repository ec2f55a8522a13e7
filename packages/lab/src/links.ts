/**
 * Faults of the links between hosts: what one host sends another is lost, always or by chance. They are
 * rules in the switch's own namespace, so hosts see nothing but silence.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import { run } from '@swarmd/base/system';

import type { Layout } from './layout.ts';

/** Every other host. */
const ANY = '*';

/** One direction of one link. */
export interface LinkFault {
  /** Name of a host, or `*`. */
  readonly from: string;
  readonly to: string;
  /** 1 to 100; 100 is a cut. */
  readonly lossPercent: number;
  /** Of which traffic; unless given, of all. */
  readonly of?: Traffic;
}

/**
 * What nodes say to each other: of the cluster (API, Raft, agents), of Raft alone, or of containers (VXLAN);
 * or all that a network in between with a small MTU would lose.
 */
export type Traffic = 'control' | 'raft' | 'data' | 'large';

/** As conditions of nft; an answer goes by the ports of its question. */
const TRAFFIC: Readonly<Record<Traffic, readonly string[]>> = {
  control: ['tcp dport 4242-4244 ', 'tcp sport 4242-4244 '],
  raft: ['tcp dport 4243 ', 'tcp sport 4243 '],
  data: ['udp dport 4789 '],
  large: ['meta length > 1300 '],
};

const TABLE = 'bridge lab-faults';

/** Everything that is broken now; what is not named works. */
export function linkFaults(layout: Layout): LinkFault[] {
  const file = stateFile(layout);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LinkFault[]) : [];
}

/** Replaces all faults of links at once: packets see either the old ones or the new ones. */
export async function setLinkFaults(layout: Layout, faults: readonly LinkFault[]): Promise<void> {
  const rules = faults.flatMap((fault) => {
    const chance = fault.lossPercent >= 100 ? '' : `numgen random mod 100 < ${fault.lossPercent} `;
    const from = fault.from === ANY ? '' : `iifname "${layout.port(fault.from)}" `;
    const to = fault.to === ANY ? '' : `oifname "${layout.port(fault.to)}" `;
    const traffic = fault.of === undefined ? [''] : TRAFFIC[fault.of];
    return traffic.map((which) => `add rule ${TABLE} forward ${from}${to}${which}${chance}drop`);
  });
  const script = [
    `add table ${TABLE}`,
    `delete table ${TABLE}`,
    ...(rules.length === 0
      ? []
      : [
          `add table ${TABLE}`,
          `add chain ${TABLE} forward { type filter hook forward priority 0; }`,
          ...rules,
        ]),
  ];
  await run('ip', ['netns', 'exec', layout.switchNetns, 'nft', '-f', '-'], {
    input: `${script.join('\n')}\n`,
  });
  writeFileSync(stateFile(layout), `${JSON.stringify(faults)}\n`);
}

/** Both directions between hosts of different groups. */
export function between(groups: readonly (readonly string[])[], of?: Traffic): LinkFault[] {
  const faults = groups.flatMap((group, i) =>
    groups.flatMap((other, j) => (i === j ? [] : oneWay(group, other))),
  );
  return of === undefined ? faults : faults.map((fault) => ({ ...fault, of }));
}

/** Of what hosts send and are sent, so much is lost by chance. */
export function lossy(hosts: readonly string[], lossPercent: number): LinkFault[] {
  return hosts.flatMap((host) => [
    { from: host, to: ANY, lossPercent },
    { from: ANY, to: host, lossPercent },
  ]);
}

/** What hosts of `from` send to hosts of `to`. */
export function oneWay(
  from: readonly string[],
  to: readonly string[],
  lossPercent = 100,
): LinkFault[] {
  return from.flatMap((a) =>
    to.filter((b) => a !== b).map((b) => ({ from: a, to: b, lossPercent })),
  );
}

function stateFile(layout: Layout): string {
  return `${layout.stateDir}/links.json`;
}
