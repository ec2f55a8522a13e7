/** The links to all peers, kept in step with the membership. */
import type { Message } from '../../core/types.ts';
import type { MemberInfo } from '../../wal/header.ts';
import { NO_LINK, type LinkReport } from '../network.ts';
import { PeerLink, type PeerLinkContext } from './peer-link.ts';

/** Many more than a cluster has managers. */
const GREETED_MAX = 64;

export class Peers implements Disposable {
  readonly #self: number;
  readonly #context: PeerLinkContext;
  readonly #links = new Map<number, PeerLink>();
  /**
   * From hello: peers that the membership does not tell of yet, and members that have moved since.
   * Without this a member that moved could not be reached to commit its new address.
   */
  readonly #greeted = new Map<number, MemberInfo>();
  #members: ReadonlyMap<number, MemberInfo> = new Map();

  constructor(self: number, context: PeerLinkContext) {
    this.#self = self;
    this.#context = context;
  }

  /** The applied membership. Links to others, and to former addresses, are closed. */
  update(members: readonly MemberInfo[]): void {
    for (const { raftId, address } of members) {
      // What the log says now is newer than any hello.
      if (this.#members.get(raftId)?.address !== address) this.#greeted.delete(raftId);
    }
    this.#members = new Map(members.map((member) => [member.raftId, member]));
    this.#closeOutdated();
  }

  /** A peer introduced itself. */
  greet(peer: MemberInfo): void {
    if (this.#greeted.size >= GREETED_MAX && !this.#greeted.has(peer.raftId)) return;
    if (this.#members.get(peer.raftId)?.address === peer.address) {
      this.#greeted.delete(peer.raftId);
    } else {
      this.#greeted.set(peer.raftId, peer);
    }
    this.#closeOutdated();
  }

  /** A removed member's hello is void. */
  forget(raftId: number): void {
    this.#greeted.delete(raftId);
  }

  /** Where a peer can be reached, as far as is known. */
  find(raftId: number): MemberInfo | undefined {
    return this.#find(raftId);
  }

  report(raftId: number): LinkReport {
    return this.#links.get(raftId)?.report() ?? NO_LINK;
  }

  send(messages: readonly Message[]): void {
    const used = new Set<PeerLink>();
    for (const message of messages) {
      const link = this.#link(message.to);
      if (link === undefined) continue;
      link.enqueue(message);
      used.add(link);
    }
    for (const link of used) link.flush();
  }

  [Symbol.dispose](): void {
    for (const link of this.#links.values()) link[Symbol.dispose]();
    this.#links.clear();
  }

  #find(raftId: number): MemberInfo | undefined {
    return this.#greeted.get(raftId) ?? this.#members.get(raftId);
  }

  #closeOutdated(): void {
    for (const [raftId, link] of this.#links) {
      if (this.#find(raftId)?.address === link.peer.address) continue;
      link[Symbol.dispose]();
      this.#links.delete(raftId);
    }
  }

  #link(raftId: number): PeerLink | undefined {
    const existing = this.#links.get(raftId);
    if (existing !== undefined) return existing;
    const peer = this.#find(raftId);
    if (peer === undefined || raftId === this.#self) return undefined;
    const link = new PeerLink(peer, this.#context);
    this.#links.set(raftId, link);
    return link;
  }
}
