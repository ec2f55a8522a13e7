/**
 * Bundles what users install into dist/: swarmd.mjs and swarmctl.mjs with the chunks they share, the
 * programs that swarmd starts as processes or threads of their own, the proto files, LevelDB's
 * native part. Nothing in dist/ needs node_modules.
 */
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const fresh = `${dist}.new`;

/** Programs that a source file names by their path: in the bundle they have another one. */
const CHILD_PROGRAMS = [
  {
    namedIn: 'packages/executor/src/create-executor.ts',
    path: './unpack/main.ts',
    source: 'packages/executor/src/unpack/main.ts',
    bundle: 'swarmd-unpack',
  },
  {
    namedIn: 'packages/raft/src/node/start-raft.ts',
    path: './worker.ts',
    source: 'packages/raft/src/node/worker.ts',
    bundle: 'swarmd-raft-worker',
  },
] as const;

const childPrograms: Plugin = {
  name: 'child-programs',
  setup(bundler) {
    for (const { namedIn, path, bundle } of CHILD_PROGRAMS) {
      const filter = new RegExp(`${namedIn.replaceAll('.', '\\.')}$`);
      bundler.onLoad({ filter }, async ({ path: file }) => {
        const text = await readFile(file, 'utf8');
        if (!text.includes(`'${path}'`)) throw new Error(`${namedIn} does not name ${path}`);
        return { contents: text.replaceAll(`'${path}'`, `'./${bundle}.mjs'`), loader: 'ts' };
      });
    }
  },
};

/** Specs are zod schemas: an agent uses their types only, and must not load them. */
const pureModel: Plugin = {
  name: 'pure-model',
  setup(bundler) {
    bundler.onResolve(
      { filter: /^@swarmd\/model$|^\./ },
      async ({ path, importer, pluginData, ...rest }) => {
        if (pluginData === 'resolving') return undefined;
        if (path !== '@swarmd/model' && !importer.includes('/packages/model/')) return undefined;
        const found = await bundler.resolve(path, { ...rest, importer, pluginData: 'resolving' });
        return { ...found, sideEffects: false };
      },
    );
  },
};

/** LevelDB looks for its native part in folders that a bundle does not have. */
const nativeLevel: Plugin = {
  name: 'native-level',
  setup(bundler) {
    bundler.onLoad({ filter: /classic-level\/binding\.js$/ }, ({ path }) => {
      const folder = join(dirname(path), 'prebuilds', `linux-${process.arch}`);
      return {
        contents: `module.exports = require(${JSON.stringify(join(folder, 'classic-level.node'))})`,
      };
    });
  },
};

await rm(fresh, { recursive: true, force: true });
await mkdir(fresh, { recursive: true });
const result = await build({
  entryPoints: [
    { in: join(root, 'packages/daemon/src/main.ts'), out: 'swarmd' },
    { in: join(root, 'packages/cli/src/main.ts'), out: 'swarmctl' },
    ...CHILD_PROGRAMS.map(({ source, bundle }) => ({ in: join(root, source), out: bundle })),
  ],
  outdir: fresh,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunk-[hash]',
  assetNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: true,
  legalComments: 'linked',
  loader: { '.node': 'copy' },
  plugins: [childPrograms, pureModel, nativeLevel],
  banner: {
    // Bundled CommonJS packages ask for Node's own modules with `require`.
    js: `import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);`,
  },
  metafile: true,
  logLevel: 'warning',
});
await cp(join(root, 'proto'), join(fresh, 'proto'), { recursive: true });
await cp(join(root, 'LICENSE'), join(fresh, 'LICENSE')).catch(() => undefined);
await rm(dist, { recursive: true, force: true });
await rename(fresh, dist);
for (const [file, { bytes, entryPoint }] of Object.entries(result.metafile.outputs)) {
  if (entryPoint === undefined || file.includes('chunk-')) continue;
  process.stdout.write(
    `dist/${relative(fresh, join(root, file))}: ${Math.round(bytes / 1024)} KiB\n`,
  );
}
