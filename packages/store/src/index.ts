export type { AppliedRequest } from './applied-requests.ts';
export type { Gather } from './group-commit.ts';
export { estimateBytes } from './size.ts';
export { createStore } from './store.ts';
export { writeChanges } from './write-changes.ts';
export type {
  ChangedObject,
  Commit,
  Proposer,
  ReadView,
  Rehearsal,
  Store,
  Transaction,
} from './types.ts';
