/** The doctor's look at encrypted networks: who takes part, by which keys, and what IPsec has dropped. */
import { readFile } from 'node:fs/promises';

import {
  isEncrypted,
  type NetworkId,
  type NodeEncryption,
  type NetworkFinding,
} from '@swarmd/model';

import type { Scope } from './desired/scope.ts';
import type { StateIndex } from './desired/state-index.ts';

const COUNTERS = '/proc/net/xfrm_stat';

/** Nothing when nothing that is encrypted is asked about. */
export async function encryptionFindings(options: {
  readonly index: StateIndex;
  readonly declared: NodeEncryption;
  readonly scope: Scope | undefined;
}): Promise<NetworkFinding[]> {
  const { index, declared, scope } = options;
  const networks = [...index.networks.values()]
    .filter(({ id, spec }) => isEncrypted(spec) && (scope?.hasNetwork(id) ?? true))
    .map(({ id }) => id);
  const mesh = index.state.encryptsMesh === true;
  if (networks.length === 0 && !mesh) return [];
  const wanted =
    scope === undefined ? [] : [keysText(index), ...meshText(mesh), ...(await xfrmErrors())];
  return [{ subject: 'encryption', details: faultsOf(index, declared, networks), wanted }];
}

function faultsOf(
  index: StateIndex,
  declared: NodeEncryption,
  networks: readonly NetworkId[],
): string[] {
  const { encryption, self } = index.state;
  if (declared.lacks !== '') return [`this node cannot take part: ${declared.lacks}`];
  if (encryption === undefined) return ['the managers have told no keys yet: nothing passes'];
  const known = new Set(encryption.peers.map(({ nodeId }) => nodeId));
  const needed = new Set([
    ...networks.flatMap((id) => (index.endpoints.get(id) ?? []).map(({ nodeId }) => nodeId)),
    ...(index.state.encryptsMesh === true ? index.state.peers.map(({ nodeId }) => nodeId) : []),
  ]);
  return [...needed]
    .filter((nodeId) => nodeId !== self.nodeId && !known.has(nodeId))
    .map((nodeId) => `node ${nodeId} does not take part (yet): nothing passes to it or from it`);
}

function meshText(isEncrypted: boolean): string[] {
  return isEncrypted ? ['published ports: between nodes encrypted'] : [];
}

/** Ids only: the keys themselves are shown to nobody. */
function keysText({ state: { encryption } }: StateIndex): string {
  const keys = encryption?.keys.map(({ id }) => {
    if (id === encryption.primary) return `${id} to send by`;
    return id > encryption.primary ? `${id} for later` : `${id} from before`;
  });
  return `keys to receive by: ${keys?.join(', ') ?? 'none'}`;
}

/** Of this machine since it booted, e.g. "XfrmInNoStates 3"; what is 0 is left out. */
export async function xfrmErrors(): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(COUNTERS, 'utf8');
  } catch (error) {
    // CONFIG_XFRM_STATISTICS is not everywhere.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, count = '0']) => count !== '0')
    .map(([name = '', count = '']) => `${name} ${count}`);
}
