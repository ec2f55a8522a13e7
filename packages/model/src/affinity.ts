/**
 * Affinity between services: `service==cache` puts tasks only on nodes that have a task of cache,
 * `service!=cache` only on nodes that have none. With `==~` and `!=~` it is a wish, not a condition.
 */
export interface Affinity {
  /** Name of the other service (or of the service itself). */
  readonly service: string;
  /** Together, or apart. */
  readonly together: boolean;
  readonly required: boolean;
}

/** @returns the affinity, or a sentence that says what is wrong with the text. */
export function parseAffinity(text: string): Affinity | string {
  const [, operator, wish, service] =
    /^\s*service\s*(==|!=)(~?)\s*([a-z0-9][a-z0-9-]*)\s*$/i.exec(text) ?? [];
  if (operator === undefined || service === undefined) {
    return `affinity "${text}" is not of the form service==NAME or service!=NAME (or ==~, !=~ for a wish)`;
  }
  return { service, together: operator === '==', required: wish === '' };
}
