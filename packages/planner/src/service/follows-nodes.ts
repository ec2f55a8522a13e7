/** Whom a change of any node concerns. */
import { isGlobal, type Service } from '@swarmd/model';

import type { PlanView } from '../types.ts';
import { rebalanceOf } from './rebalance-policy.ts';

/**
 * True when the service is to be planned again whenever a node comes, goes or changes, also one that
 * has none of its tasks: global services cover new nodes, rebalanced ones move to them.
 */
export function followsNodes(view: PlanView, service: Service): boolean {
  return isGlobal(service.spec.mode) || rebalanceOf(view, service).budget > 0;
}
