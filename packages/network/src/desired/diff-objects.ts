/** The smallest batches that turn one set of kernel objects into another. */
import {
  PLACES,
  toSteps,
  type KernelObject,
  type KernelObjects,
  type Statement,
} from './kernel-object.ts';
import type { Step } from './step.ts';

/**
 * Deletes first, newest layer first, then puts from the lowest layer up, then deletes of what was still in
 * use until then. What stands on a device that is deleted or made anew goes with it, and is put again
 * without being deleted.
 */
export function diffObjects(current: KernelObjects, wanted: KernelObjects): Step[] {
  const deletes: Statement[] = [];
  const puts: Statement[] = [];
  const lastDeletes: Statement[] = [];
  const remade = new Map<string, boolean>();
  const vanished = ({ on }: KernelObject): boolean => {
    if (on === undefined) return false;
    const known = remade.get(on) ?? isRemade(on, current, wanted);
    remade.set(on, known);
    return known;
  };

  for (const object of current.values()) {
    if (vanished(object)) continue;
    const next = wanted.get(object.key);
    if (next === undefined && object.goesLast === true) lastDeletes.push(...object.delete);
    else if (next === undefined || (isChanged(object, next) && !next.replaces)) {
      deletes.push(...object.delete);
    }
  }
  for (const object of wanted.values()) {
    const before = current.get(object.key);
    if (before === undefined || vanished(before) || isChanged(before, object)) {
      puts.push(...object.put);
    }
  }
  return [
    ...toSteps(deletes, PLACES.toReversed()),
    ...toSteps(puts, PLACES),
    ...toSteps(lastDeletes, PLACES),
  ];
}

function isRemade(key: string, current: KernelObjects, wanted: KernelObjects): boolean {
  const before = current.get(key);
  const next = wanted.get(key);
  if (before === undefined) return true;
  return next === undefined || (isChanged(before, next) && !next.replaces);
}

function isChanged(before: KernelObject, next: KernelObject): boolean {
  if (before === next) return false;
  return (
    before.put.length !== next.put.length ||
    before.put.some((statement, index) => statement.line !== next.put[index]?.line)
  );
}
