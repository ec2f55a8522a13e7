/**
 * Makes a process die at its Nth step that changes the machine. Loaded with `--import` before the program:
 * every function of Node that changes files or begins processes becomes a fault point, so that code
 * written tomorrow is covered without knowing of this. A process begun is two points: about to, and begun.
 *
 * SWARMD_FAULT is JSON of `FaultPlan`. Steps count from `beginFaults()` on in the executor,
 * from the first one in its unpacking process, which dies with its parent's disconnection.
 */
import childProcess from 'node:child_process';
import fs, { type RmOptions } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

import type { FaultPlan } from './index.ts';

const plan = JSON.parse(process.env['SWARMD_FAULT'] ?? 'null') as FaultPlan | null;
if (plan !== null) install(plan);

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

function install(plan: FaultPlan): void {
  const isUnpacker = typeof process.send === 'function';
  const victim = isUnpacker ? process.ppid : process.pid;
  const { writeSync } = fs;
  const journal = fs.openSync(plan.journal, 'a');
  const kill = process.kill.bind(process);
  let isCounting = isUnpacker && plan.who === 'unpacker';
  let steps = 0;
  globalThis.swarmdFaultsBegin = () => {
    isCounting = !isUnpacker && plan.who === 'executor';
  };
  const point = (name: string, args: readonly unknown[]): void => {
    const isReading =
      (name === 'openSync' && (args[1] ?? 'r') === 'r') || (name === 'kill' && args[1] === 0);
    if (!isCounting || isReading) return;
    steps += 1;
    const what = args.flatMap((arg) => (Array.isArray(arg) ? arg : [arg])).filter(isShort);
    if (steps > plan.step) return;
    writeSync(journal, `${JSON.stringify([name, ...what]).slice(0, 300)}\n`);
    if (steps === plan.step) kill(victim, 'SIGKILL');
  };
  guardFunctions(point);
  guardRemoval(point);
  syncBuiltinESMExports();
  // It may have been told what to do already, and hear of that before it hears of the death.
  if (isUnpacker) point('begun', []);
}

type Point = (name: string, args: readonly unknown[]) => void;

function guardFunctions(point: Point): void {
  const guard = (owner: object, names: string, isProcess = false): void => {
    for (const name of names.split(' ')) {
      const original = Reflect.get(owner, name) as AnyFunction;
      const guarded: AnyFunction = function guarded(...args) {
        point(name, args);
        const result = Reflect.apply(original, this, args);
        if (!isProcess) return result;
        point(`${name} done`, args);
        // What is said to a process makes it change something as well.
        const { stdin } = result as { stdin?: object | null };
        if (stdin) guard(stdin, 'write', true);
        return result;
      };
      Reflect.set(owner, name, guarded);
    }
  };
  guard(promises, 'mkdir writeFile appendFile rename rmdir unlink chmod chown link symlink');
  guard(promises, 'truncate cp');
  guard(fs, 'openSync writeFileSync mkdirSync renameSync unlinkSync rmdirSync chownSync writeSync');
  guard(fs, 'createWriteStream');
  guard(childProcess, 'spawn fork', true);
  guard(childProcess.ChildProcess.prototype, 'send kill');
  guard(process, 'kill');
  const { open } = promises;
  const guardedOpen: AnyFunction = async function guardedOpen(...args) {
    const [, flags = 'r'] = args;
    if (flags === 'r') return Reflect.apply(open, this, args);
    point('open', args);
    const handle: object = await (Reflect.apply(open, this, args) as Promise<object>);
    guard(handle, 'write writeFile sync truncate');
    return handle;
  };
  Reflect.set(promises, 'open', guardedOpen);
}

/** One step for each entry near the top: a death may leave half of a tree. */
function guardRemoval(point: Point): void {
  const { rm, readdir } = promises;
  const { rmSync, readdirSync } = fs;
  const guardedRm = async (path: string, options: RmOptions = {}, depth = 0): Promise<void> => {
    if (options.recursive === true && depth < 2) {
      const entries = await readdir(path).catch(() => []);
      for (const entry of entries) await guardedRm(`${path}/${entry}`, options, depth + 1);
    }
    point('rm', [path]);
    await rm(path, options);
  };
  const guardedRmSync = (path: string, options: RmOptions = {}, depth = 0): void => {
    const isFolder = fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (options.recursive === true && depth < 2 && isFolder) {
      for (const entry of readdirSync(path)) guardedRmSync(`${path}/${entry}`, options, depth + 1);
    }
    point('rmSync', [path]);
    rmSync(path, options);
  };
  Reflect.set(promises, 'rm', (path: string, options?: RmOptions) => guardedRm(path, options));
  Reflect.set(fs, 'rmSync', (path: string, options?: RmOptions) => guardedRmSync(path, options));
}

function isShort(value: unknown): value is string | number {
  return typeof value === 'number' || (typeof value === 'string' && value.length < 120);
}
