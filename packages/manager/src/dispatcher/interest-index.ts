/** Finds whom a commit concerns without asking all: with thousands of sessions most concern a few. */
import type { NodeId } from '@swarmd/model';

import type { Audience, Interests } from './interests.ts';

/** One `T` for each node, with what it is interested in. */
export class InterestIndex<T> {
  readonly #byNode = new Map<NodeId, { readonly one: T; readonly keys: ReadonlySet<string> }>();
  readonly #byKey = new Map<string, Map<NodeId, T>>();

  put(one: T, interests: Interests): void {
    const { nodeId } = interests;
    const keys = keysOf(interests);
    const known = this.#byNode.get(nodeId);
    this.#byNode.set(nodeId, { one, keys });
    for (const key of known?.keys ?? []) if (!keys.has(key)) this.#leave(key, nodeId);
    for (const key of keys) {
      const group = this.#byKey.get(key);
      if (group === undefined) this.#byKey.set(key, new Map([[nodeId, one]]));
      else group.set(nodeId, one);
    }
  }

  delete(nodeId: NodeId): void {
    for (const key of this.#byNode.get(nodeId)?.keys ?? []) this.#leave(key, nodeId);
    this.#byNode.delete(nodeId);
  }

  /** Some may be named more than once. What can wait aside. */
  *concerned(audience: Audience): Iterable<T> {
    if (audience.everyone) {
      for (const { one } of this.#byNode.values()) yield one;
      return;
    }
    for (const id of audience.nodes) {
      const known = this.#byNode.get(id as NodeId);
      if (known !== undefined) yield known.one;
    }
    for (const key of keysOf(audience)) yield* this.#byKey.get(key)?.values() ?? [];
  }

  #leave(key: string, nodeId: NodeId): void {
    const group = this.#byKey.get(key);
    group?.delete(nodeId);
    if (group?.size === 0) this.#byKey.delete(key);
  }
}

const NONE: ReadonlySet<string> = new Set();

function keysOf(
  parts: Pick<Interests, 'networks' | 'secrets' | 'configs' | 'mesh' | 'encrypted'>,
): ReadonlySet<string> {
  const { networks, secrets, configs, mesh, encrypted } = parts;
  if (networks.size + secrets.size + configs.size === 0 && !mesh && !encrypted) return NONE;
  const keys = new Set<string>();
  for (const id of networks) keys.add(`network ${id}`);
  for (const id of secrets) keys.add(`secret ${id}`);
  for (const id of configs) keys.add(`config ${id}`);
  if (mesh) keys.add('mesh');
  if (encrypted) keys.add('encrypted');
  return keys;
}
