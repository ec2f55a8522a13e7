/** Loaded before everything else with `--import`: edits the core as RAFT_MUTATION says. */
import { registerHooks } from 'node:module';
import { assert } from '@swarmd/base';
import { MUTATIONS } from './mutations.ts';

const mutation = MUTATIONS.find(({ name }) => name === process.env['RAFT_MUTATION']);
assert(mutation, 'RAFT_MUTATION names a mutation');

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/raft/src/core/${mutation.file}`) || !loaded.source) return loaded;
    const text = sourceText(loaded.source);
    const parts = text.split(mutation.find);
    assert(parts.length === 2, `"${mutation.name}" finds its place in ${mutation.file} once`);
    return { ...loaded, source: parts.join(mutation.replace) };
  },
});

function sourceText(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}
