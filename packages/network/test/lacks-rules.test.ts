/** What is missing in a table as the kernel lists it, by numbers of rules. */
import { expect, test } from 'vitest';

import { lacksRules } from '../src/desired/lacks-rules.ts';
import type { NftProgram } from '../src/desired/nft-program.ts';

const program: NftProgram = {
  family: 'ip',
  fixed: `  map ports { type inet_proto . inet_service : verdict; }
  chain pre_nat {
    type nat hook prerouting priority -100; policy accept;
    iifname != "ing0" meta l4proto . th dport vmap @ports
    reject
  }`,
  chains: new Map([['port_tcp_80', ['dnat to 10.0.0.1']]]),
  sets: new Map(),
  elements: new Map(),
};

/** The words are the kernel's own. */
const listing = (base: string, ofPort: string): string => `table ip swarmd {
\tmap ports {
\t\ttype inet_proto . inet_service : verdict
\t}

\tchain pre_nat {
\t\ttype nat hook prerouting priority dstnat; policy accept;
${base}\t}

\tchain port_tcp_80 {
${ofPort}\t}
}
`;
const base =
  '\t\tiifname != "ing0" meta l4proto . th dport vmap @ports\n\t\treject with icmp port-unreachable\n';
const ofPort = '\t\tdnat to 10.0.0.1\n';

test.each([
  ['nothing', listing(base, ofPort), false],
  ['a rule', listing('\t\treject\n', ofPort), true],
  ['all rules', listing('', ''), true],
  ['those of a port', listing(base, ''), true],
  ['the table', '', true],
])('%s is missing', (_, text, lacks) => {
  expect(lacksRules(text, program)).toBe(lacks);
});
