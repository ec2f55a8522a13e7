/** Commands that take several objects. */
import { errorCode, errorMessage, SwarmError, type ErrorCode } from '@swarmd/base';

/** After these the next object would fare no better. */
const ENDS_ALL: readonly ErrorCode[] = [
  'unavailable',
  'deadline-exceeded',
  'cancelled',
  'internal',
];

/**
 * Does the same to each object: one that is missing or refused does not keep the others from it.
 * @throws What failed; of several failures one error that names each, with the code of the first.
 */
export async function forEach<T>(
  items: readonly T[],
  action: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) {
    try {
      await action(item);
    } catch (error) {
      failures.push(error);
      if (ENDS_ALL.includes(errorCode(error))) break;
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) {
    throw new SwarmError(errorCode(failures[0]), failures.map(errorMessage).join('\n'));
  }
}
