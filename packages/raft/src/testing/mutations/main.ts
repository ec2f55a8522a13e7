/**
 * Judges the mutation that RAFT_MUTATION names: edits the core's source while it is loaded, then
 * runs the suite on it. Exits with 1 if it was caught. Started by run-mutations.ts.
 */
import { registerHooks } from 'node:module';
import { assert } from '@swarmd/base';
import { mutated } from '@swarmd/base/testing';
import { CONTROL, MUTATIONS } from './mutations.ts';

const mutation = [CONTROL, ...MUTATIONS].find(({ name }) => name === process.env['RAFT_MUTATION']);
assert(mutation, 'RAFT_MUTATION names a mutation');

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/raft/src/${mutation.file}`) || !loaded.source) return loaded;
    return { ...loaded, source: mutated(sourceText(loaded.source), mutation) };
  },
});

function sourceText(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}

// Only now: what is imported above is loaded before the hook is there.
const { caughtBy } = await import('./judge.ts');
const caught = await caughtBy(mutation, Number(process.argv[2] ?? 200));
process.stdout.write(`${caught ?? 'NOT CAUGHT'}\n`);
process.exitCode = caught === undefined ? 0 : 1;
