/**
 * The managers this node knows, and the order to try them in: shuffled, the one that has just failed
 * last. Pure but for the chance it is given.
 */
import type { Random } from '@swarmd/base';

export function orderToTry(
  managers: readonly string[],
  random: Random,
  avoid?: string,
): readonly string[] {
  const order = [...new Set(managers)].filter((address) => address !== avoid);
  for (let last = order.length - 1; last > 0; last -= 1) {
    const chosen = Math.floor(random.next() * (last + 1));
    [order[last], order[chosen]] = [order[chosen] as string, order[last] as string];
  }
  if (avoid !== undefined && managers.includes(avoid)) order.push(avoid);
  return order;
}
