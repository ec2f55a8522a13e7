/**
 * What all nodes said to tasks that ask for the same and found no node. Only a node that has changed is
 * asked again: of thousands that refuse, few change between two plans. A memo, not a memory: one made anew
 * answers the same (`test/ranking.property.test.ts`).
 */
import type { Node, NodeId } from '@swarmd/model';

import { sameSpec } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import type { Demand } from './filters.ts';
import type { NodeNews } from './node-usage.ts';

export interface Inquiry {
  readonly view: Pick<PlanView, 'get' | 'list'>;
  readonly news: NodeNews;
  /** What the node lacks, as it is stored; undefined: nothing. */
  readonly ask: (node: Node) => string | undefined;
  /** Nodes where the plan changes something: what they say now is no lasting answer. */
  readonly isChanging: (id: NodeId) => boolean;
}

export class Standing {
  readonly #demand: Demand;
  readonly #verdicts = new Map<NodeId, string>();
  readonly #counts = new Map<string, number>();
  /** To be asked again once no plan changes something there. */
  readonly #unasked = new Set<NodeId>();
  /** Nodes that would take one more task. */
  readonly willing = new Set<NodeId>();
  /** Nodes where no less important task can make room. */
  readonly hopeless = new Set<NodeId>();
  #mark: number | undefined;

  constructor(demand: Demand) {
    this.#demand = demand;
  }

  /** Networks and their drivers may have changed. */
  isFor({ hostPorts, plugins, encrypted, serviceName }: Demand): boolean {
    const own = this.#demand;
    return (
      own.encrypted === encrypted &&
      own.serviceName === serviceName &&
      sameSpec(own.hostPorts, hostPorts) &&
      sameSpec(own.plugins, plugins)
    );
  }

  follow(inquiry: Inquiry): void {
    const { view, news } = inquiry;
    const { mark, ids } = news.since(this.#mark);
    this.#mark = mark;
    if (ids === undefined) {
      for (const id of [...this.#verdicts.keys(), ...this.willing]) this.#forget(id);
      for (const node of view.list('node')) this.#unasked.add(node.id);
    } else for (const id of ids) this.#unasked.add(id);
    for (const id of this.#unasked) {
      this.#forget(id);
      if (inquiry.isChanging(id)) continue;
      this.#unasked.delete(id);
      const node = view.get('node', id);
      if (node !== undefined) this.#note(id, inquiry.ask(node));
    }
  }

  /** What a node lacks that nothing changes. */
  verdictOf(id: NodeId): string | undefined {
    return this.#verdicts.get(id);
  }

  /** How many of the nodes that were asked lack what. */
  counts(): Map<string, number> {
    return new Map(this.#counts);
  }

  #note(id: NodeId, lacks: string | undefined): void {
    if (lacks === undefined) {
      this.willing.add(id);
      return;
    }
    this.#verdicts.set(id, lacks);
    this.#counts.set(lacks, (this.#counts.get(lacks) ?? 0) + 1);
  }

  #forget(id: NodeId): void {
    this.willing.delete(id);
    this.hopeless.delete(id);
    const lacked = this.#verdicts.get(id);
    if (lacked === undefined) return;
    this.#verdicts.delete(id);
    const left = (this.#counts.get(lacked) ?? 0) - 1;
    if (left > 0) this.#counts.set(lacked, left);
    else this.#counts.delete(lacked);
  }
}
