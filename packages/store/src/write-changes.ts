import { type Change, type ObjectOf, type TableName } from '@swarmd/model';

import type { Transaction } from './types.ts';

/** Writes ready-made changes, such as the `ops` of a plan, in one transaction. */
export function writeChanges(tx: Transaction, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind === 'put') put(tx, change.table, change.object);
    else tx.delete(change.table, change.id);
  }
}

function put<T extends TableName>(tx: Transaction, table: T, object: ObjectOf[T]): void {
  tx.put(table, object);
}
