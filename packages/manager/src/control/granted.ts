/** The planner's allocations answer values; here a refusal ends the transaction. */
import { SwarmError } from '@swarmd/base';
import type { Allocated } from '@swarmd/planner';

export function granted<T>(answer: Allocated<T>): T {
  if (answer.kind === 'refused') throw new SwarmError(answer.code, answer.message);
  return answer.value;
}
