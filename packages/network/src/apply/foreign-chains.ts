/** Our rules in other people's chains of nftables. */
import { errorMessage } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import {
  foreignChains,
  passChain,
  removals,
  type FirewallNeeds,
  type ForeignChain,
} from '../desired/foreign-chains.ts';
import { runSteps } from './kernel.ts';

/** @returns where it was not possible, and why: firewalld of today owns its table, and nobody else may write there. */
export async function passForeignChains(needs: FirewallNeeds): Promise<string[]> {
  return changeChains((chain, listing) => passChain(chain, listing, needs));
}

export async function leaveForeignChains(): Promise<void> {
  await changeChains((chain, listing) => removals(chain, listing).join('\n'));
}

async function changeChains(
  change: (chain: ForeignChain, listing: string) => string,
): Promise<string[]> {
  const refused: string[] = [];
  for (const chain of foreignChains(await list('chains'))) {
    const place = [chain.family, chain.table, chain.name];
    const text = change(chain, await list('chain', ...place));
    if (text === '') continue;
    try {
      await runSteps([{ kind: 'nft', text }]);
    } catch (error) {
      // The rest says it again for each rule.
      const [why = ''] = errorMessage(error).split('\n');
      refused.push(`${place.join(' ')}: ${why}`);
    }
  }
  return refused;
}

/** Empty when there is no such thing any more. */
async function list(...what: string[]): Promise<string> {
  return (await run('nft', ['-a', 'list', ...what], { okCodes: [0, 1] })).stdout;
}
