/**
 * Judges the mutation that RAFT_MUTATION names: edits the core's source while it is loaded, then
 * runs the suite on it. Exits with 1 if it was caught. Started by run-mutations.ts.
 */
import { registerHooks } from 'node:module';
import { assert } from '@swarmd/base';
import { MUTATIONS } from './mutations.ts';

const mutation = MUTATIONS.find(({ name }) => name === process.env['RAFT_MUTATION']);
assert(mutation, 'RAFT_MUTATION names a mutation');

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/raft/src/${mutation.file}`) || !loaded.source) return loaded;
    const parts = sourceText(loaded.source).split(mutation.find);
    assert(parts.length === 2, `"${mutation.name}" finds its place in ${mutation.file} once`);
    return { ...loaded, source: parts.join(mutation.replace) };
  },
});

function sourceText(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}

// Only now: what is imported above is loaded before the hook is there.
const { caughtBy } = await import('./judge.ts');
const caught = await caughtBy(Number(process.argv[2] ?? 200));
process.stdout.write(`${caught ?? 'NOT CAUGHT'}\n`);
process.exitCode = caught === undefined ? 0 : 1;
