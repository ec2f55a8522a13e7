/** Which rules other people's chains of nftables get, from listings as nft prints them. */
import { expect, test } from 'vitest';

import {
  foreignChains,
  passChain,
  removals,
  type ForeignChain,
} from '../src/desired/foreign-chains.ts';

const needs = {
  gateway: '100.64.1.1',
  vxlanPort: 4_789,
  ipv6: false,
  tunnelsByIpv6: false,
  sealedPort: undefined,
};
const forward: ForeignChain = { family: 'inet', table: 'filter', name: 'passing', hook: 'forward' };

const listing = (policy: string, ...rules: string[]): string =>
  [
    'table inet filter { # handle 1',
    '\tchain passing { # handle 2',
    `\t\ttype filter hook forward priority filter; policy ${policy};`,
    ...rules.map((rule, i) => `\t\t${rule} # handle ${i + 3}`),
    '\t}',
    '}',
    '',
  ].join('\n');

const OURS = [
  'iifname "swg*" accept comment "swarmd"',
  'oifname "swg*" accept comment "swarmd"',
  'iifname "ing0" accept comment "swarmd"',
  'oifname "ing0" accept comment "swarmd"',
];
const established = 'ct state established,related accept';
const INSERTED = OURS.toReversed().map((rule) => `insert rule inet filter passing ${rule}`);

test('base chains of others that see what is forwarded or comes in; not ours, nor those of iptables', () => {
  const text = `table ip filter { # handle 1
	chain FORWARD { # handle 1
		type filter hook forward priority filter; policy drop;
	}
	chain mine { # handle 2
		type filter hook forward priority filter; policy drop;
	}
}
table ip swarmd { # handle 2
	chain forw { # handle 1
		type filter hook forward priority filter; policy accept;
	}
}
table inet firewalld { # handle 9
	chain filter_INPUT { # handle 1
		type filter hook input priority filter + 10; policy accept;
	}
	chain filter_OUTPUT { # handle 2
		type filter hook output priority filter + 10; policy accept;
	}
	chain nat_PREROUTING { # handle 3
		type nat hook prerouting priority dstnat + 10; policy accept;
	}
	chain helper { # handle 4
	}
}
table bridge filter { # handle 3
	chain forward { # handle 1
		type filter hook forward priority filter; policy drop;
	}
}
`;
  expect(foreignChains(text)).toEqual([
    { family: 'ip', table: 'filter', name: 'mine', hook: 'forward' },
    { family: 'inet', table: 'firewalld', name: 'filter_INPUT', hook: 'input' },
  ]);
});

test.each<[string, string, string[]]>([
  ['lets all pass', listing('accept', established), []],
  ['drops by its policy', listing('drop', established), INSERTED],
  ['rejects at its end', listing('accept', 'reject with icmpx admin-prohibited'), INSERTED],
  ['drops at its end', listing('accept', established, 'drop'), INSERTED],
  ['drops some at its end', listing('accept', 'iifname "eth1" drop'), []],
  ['has our rules', listing('drop', ...OURS, established), []],
  [
    'has some of our rules',
    listing('drop', ...OURS.slice(0, 1), established),
    ['delete rule inet filter passing handle 3', ...INSERTED],
  ],
  [
    'has our rules and lets all pass by now',
    listing('accept', established, ...OURS.slice(0, 2)),
    ['delete rule inet filter passing handle 4', 'delete rule inet filter passing handle 5'],
  ],
])('a chain that %s', (_, text, expected) => {
  expect(passChain(forward, text, needs).split('\n').filter(Boolean)).toEqual(expected);
});

test('what comes in: names, and the tunnels there are', () => {
  const statements = (family: string, more: Partial<typeof needs>): string[] =>
    passChain(
      { ...forward, family, hook: 'input' },
      listing('drop'),
      Object.assign({}, needs, more),
    )
      .split('\n')
      .filter(Boolean)
      .map((line) =>
        line.replace(/^insert rule \S+ filter passing (.*) accept comment "swarmd"$/, '$1'),
      );
  const names = ['tcp', 'udp'].map(
    (protocol) => `iifname "swg*" ip daddr 100.64.1.1 ${protocol} dport 53`,
  );
  expect(statements('inet', {})).toEqual(['udp dport 4789', ...names]);
  expect(statements('ip', { sealedPort: 4_790 as never })).toEqual([
    'udp dport 4790',
    'meta l4proto esp',
    'udp dport 4789',
    ...names,
  ]);
  expect(statements('ip6', { ipv6: true })).toEqual([]);
  expect(statements('ip6', { ipv6: true, tunnelsByIpv6: true })).toEqual(['udp dport 4789']);
});

test('all of ours goes again', () => {
  expect(removals(forward, listing('drop', established, ...OURS.slice(0, 1)))).toEqual([
    'delete rule inet filter passing handle 4',
  ]);
});
