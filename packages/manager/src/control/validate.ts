/** Border checks of specs: the schemas of `model`, with errors that name the field. */
import { SwarmError } from '@swarmd/base';

/** What is needed of a zod schema, so that zod itself stays in `model`. */
interface Schema<T> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly Issue[] } };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const ISSUES_SHOWN_MAX = 5;

/** @throws SwarmError `invalid-argument` with path and message of the first few faults. */
export function parseSpec<T>(what: string, schema: Schema<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const shown = issues.slice(0, ISSUES_SHOWN_MAX).map(describeIssue);
  const more = issues.length - shown.length;
  throw invalid(`${what}: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`);
}

function describeIssue(issue: Issue): string {
  const path = issue.path.map(String).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}

export function invalid(message: string): SwarmError {
  return new SwarmError('invalid-argument', message);
}

export function notFound(what: string, id: string): SwarmError {
  return new SwarmError('not-found', `${what} ${id} does not exist; it may have been removed`);
}
