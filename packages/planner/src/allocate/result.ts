import type { ErrorCode } from '@swarmd/base';

/** What was allocated, or why not, in the words for the user who asked. */
export type Allocated<T> =
  | { readonly kind: 'allocated'; readonly value: T }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string };

export function allocated<T>(value: T): Allocated<T> {
  return { kind: 'allocated', value };
}

export function refused(code: ErrorCode, message: string): Allocated<never> {
  return { kind: 'refused', code, message };
}
