/**
 * Is what a waiting task says still so? What each node would say now, asked anew, must be what is
 * stored: who reads it acts on it. Numbers of nodes may be older, as only some tasks tell the newest.
 */
import type { Task } from '@swarmd/model';
import { nodeVerdicts, WAITING_REASONS } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

/** `task` is wanted, has no node, and says why. */
export function* staleReasons(view: ReadView, task: Task): Iterable<string> {
  const why = task.because.findLast(({ code }) => WAITING_REASONS.has(code));
  const says = `task ${task.id} of ${task.serviceName} waits: "${task.status.error}"`;
  if (why?.message !== task.status.error) {
    yield `${says}, and its reason is "${why?.message}"`;
    return;
  }
  const verdicts = nodeVerdicts(view, task);
  const willing = verdicts.filter(({ lacks }) => lacks === undefined);
  if (why.code === 'no-suitable-node') {
    if (willing.length > 0) yield `${says}, and ${willing[0]?.node.id} would take it`;
    const told = words(why.placement?.refusals.map(({ filter }) => filter) ?? []);
    const real = words(verdicts.flatMap(({ lacks }) => lacks ?? []));
    if (told !== real) yield `${says}, and nodes say: ${real}`;
  } else if (why.code === 'no-address' && !verdicts.some(isOpen)) {
    yield `${says}, and no node would take it: ${words(verdicts.flatMap(({ lacks }) => lacks ?? []))}`;
  }
}

/** But for addresses, which others may have given back a moment ago. */
function isOpen({ lacks }: ReturnType<typeof nodeVerdicts>[number]): boolean {
  return lacks === undefined || lacks.startsWith('no free address on network');
}

function words(filters: readonly string[]): string {
  return [...new Set(filters)].toSorted().join('; ');
}
