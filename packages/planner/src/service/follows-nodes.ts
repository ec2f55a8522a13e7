/** Whom a change of any node concerns. */
import { isGlobal, type Service } from '@swarmd/model';

/**
 * True when the service is to be planned again whenever a node comes, goes or changes, also one that
 * has none of its tasks: global services cover new nodes, rebalanced ones move to them.
 */
export function followsNodes({ spec }: Service): boolean {
  return isGlobal(spec.mode) || spec.rebalance.budget > 0;
}
