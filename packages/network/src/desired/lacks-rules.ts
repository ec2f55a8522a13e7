/**
 * Whether somebody took rules out of a table and left the table: told by their number, chain by chain, since the
 * kernel lists rules in words of its own.
 */
import type { NftProgram } from './nft-program.ts';

/** @param listing of the table, as `nft list table` prints it. */
export function lacksRules(listing: string, { fixed, chains }: NftProgram): boolean {
  const found = rulesByChain(listing);
  const wanted = [
    ...rulesByChain(fixed),
    ...[...chains].map(([name, rules]) => [name, rules.length] as const),
  ];
  return wanted.some(([name, count]) => (found.get(name) ?? 0) < count);
}

function rulesByChain(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  let chain: string | undefined;
  for (const line of text.split('\n').map((one) => one.trim())) {
    const [, begins] = /^chain (\S+) \{$/.exec(line) ?? [];
    if (begins !== undefined) counts.set((chain = begins), 0);
    else if (line === '}') chain = undefined;
    else if (chain !== undefined && line !== '' && !/^(type|comment) /.test(line)) {
      counts.set(chain, (counts.get(chain) ?? 0) + 1);
    }
  }
  return counts;
}
