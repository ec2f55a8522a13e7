/**
 * Which nodes a node has to know: those that traffic of its tasks goes to or comes from. Telling
 * everybody of everybody would cost the square of their number, on the wire and in every kernel.
 */
import type { NetworkEndpoint, NetworkId, NetworkPeer, NodeId } from '@swarmd/model';

import { keep } from './keep.ts';

/** What the lists are drawn from. Each part keeps its identity as long as it is the same. */
export interface PeerSources {
  /** All nodes that can be reached, by index. */
  readonly peers: readonly NetworkPeer[];
  /** Nodes with a task that published ports lead to: every node sends to them, and they answer. */
  readonly mesh: ReadonlySet<NodeId>;
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
}

interface Drawn {
  readonly peers: readonly NetworkPeer[];
  readonly mesh: ReadonlySet<NodeId>;
  readonly endpoints: readonly (readonly NetworkEndpoint[])[];
  readonly list: readonly NetworkPeer[];
}

const NO_ENDPOINTS: readonly NetworkEndpoint[] = [];
/** Combinations of networks that nodes have; beyond it the lists are drawn anew. */
const LISTS_MAX = 10_000;

/** Nodes on the same networks share a list, which keeps its identity while it is the same. */
export class PeerLists {
  readonly #lists = new Map<string, Drawn>();
  readonly #byId = new WeakMap<readonly NetworkPeer[], ReadonlyMap<NodeId, NetworkPeer>>();

  /** `networks`: those the node's tasks are on, sorted. */
  of(nodeId: NodeId, networks: readonly NetworkId[], sources: PeerSources): readonly NetworkPeer[] {
    const { peers, mesh } = sources;
    if (mesh.has(nodeId)) return peers;
    const key = networks.join(' ');
    const endpoints = networks.map((id) => sources.endpoints.get(id) ?? NO_ENDPOINTS);
    const known = this.#lists.get(key);
    if (known !== undefined && isSame(known, { peers, mesh, endpoints })) return known.list;
    const list = keep(known?.list, this.#draw(sources, endpoints), (peer) => peer.nodeId);
    if (this.#lists.size >= LISTS_MAX) this.#lists.clear();
    this.#lists.set(key, { peers, mesh, endpoints, list });
    return list;
  }

  #draw(
    { peers, mesh }: PeerSources,
    endpoints: readonly (readonly NetworkEndpoint[])[],
  ): NetworkPeer[] {
    const byId = this.#index(peers);
    const ids = new Set(mesh);
    for (const list of endpoints) for (const { nodeId } of list) ids.add(nodeId);
    return [...ids]
      .map((id) => byId.get(id))
      .filter((peer) => peer !== undefined)
      .toSorted((a, b) => a.index - b.index);
  }

  #index(peers: readonly NetworkPeer[]): ReadonlyMap<NodeId, NetworkPeer> {
    let index = this.#byId.get(peers);
    if (index === undefined) {
      index = new Map(peers.map((peer) => [peer.nodeId, peer]));
      this.#byId.set(peers, index);
    }
    return index;
  }
}

function isSame(known: Drawn, now: Omit<Drawn, 'list'>): boolean {
  return (
    known.peers === now.peers &&
    known.mesh === now.mesh &&
    known.endpoints.every((list, at) => list === now.endpoints[at])
  );
}
