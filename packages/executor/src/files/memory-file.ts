/**
 * Files that are on memory: /proc, /sys/fs/cgroup, and RUN_DIR, which is a tmpfs. They are read and written at once:
 * the kernel answers in microseconds, while a turn in Node's pool of threads costs 90 us of processor time, on a busy
 * machine milliseconds, and starting and removing a container takes a hundred of them. Nothing on a disk is read like this: a
 * disk that stalls would stall the whole agent.
 */
import { readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';

import { isNotFound } from './atomic-file.ts';

/** Empty when there is no such file, or its process has ended. */
export function textNow(path: string): string {
  return readNow(path) ?? '';
}

/** Undefined when there is no such file, or its process has ended. */
export function readNow(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export function writeNow(path: string, text: string, mode = 0o600): void {
  writeFileSync(path, text, { mode });
}

/** @returns false when it was not there. */
export function unlinkNow(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

export function isThereNow(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** With everything below it. */
export function removeNow(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
