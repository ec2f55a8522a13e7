/**
 * Bundles what users install into dist/: swarmd.mjs and swarmctl.mjs with the chunks they share, the
 * programs that swarmd starts as processes or threads of their own, the proto files, LevelDB's
 * native part. Nothing in dist/ needs node_modules.
 */
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const fresh = `${dist}.new`;

/**
 * Bundled one by one, so that each contains what it uses and nothing else: what only the manager needs
 * must not be in the memory of an agent.
 */
const PROGRAMS: Readonly<Record<string, string>> = {
  swarmd: 'packages/daemon/src/main.ts',
  'swarmd-manager': 'packages/daemon/src/manager/manager-child.ts',
  'swarmd-raft-worker': 'packages/raft/src/node/worker.ts',
  'swarmd-unpack': 'packages/executor/src/unpack/main.ts',
  'swarmd-log-shipper': 'packages/executor/src/logs/shipper/main.ts',
  swarmctl: 'packages/cli/src/main.ts',
};

/** Where sources name one of these programs by its path: bundles name it by its bundle. */
const REFERENCES = [
  {
    namedIn: 'packages/daemon/src/main.ts',
    path: './manager/manager-child.ts',
    bundle: 'swarmd-manager',
  },
  {
    namedIn: 'packages/executor/src/create-executor.ts',
    path: './unpack/main.ts',
    bundle: 'swarmd-unpack',
  },
  {
    namedIn: 'packages/raft/src/node/start-raft.ts',
    path: './worker.ts',
    bundle: 'swarmd-raft-worker',
  },
  {
    namedIn: 'packages/executor/src/logs/shipper/log-shippers.ts',
    path: './main.ts',
    bundle: 'swarmd-log-shipper',
  },
] as const;

const ownSources: Plugin = {
  name: 'own-sources',
  setup(bundler) {
    bundler.onLoad({ filter: /\/packages\/[^/]+\/src\/.*\.ts$/ }, async ({ path: file }) => {
      let text = await readFile(file, 'utf8');
      for (const { namedIn, path, bundle } of REFERENCES) {
        if (!file.endsWith(namedIn)) continue;
        if (!text.includes(`'${path}'`)) throw new Error(`${namedIn} does not name ${path}`);
        text = text.replaceAll(`'${path}'`, `'./${bundle}.mjs'`);
      }
      // As a namespace, so that the two thirds of zod that nobody uses are left out.
      text = text.replace("import { z } from 'zod';", "import * as z from 'zod';");
      return { contents: text, loader: 'ts' };
    });
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
for (const [name, entry] of Object.entries(PROGRAMS)) {
  const { metafile } = await build({
    entryPoints: [{ in: join(root, entry), out: name }],
    outdir: fresh,
    outExtension: { '.js': '.mjs' },
    chunkNames: `${name}-[hash]`,
    assetNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: Object.keys(PROGRAMS).map((program) => `./${program}.mjs`),
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'linked',
    loader: { '.node': 'copy' },
    plugins: [ownSources, pureModel, nativeLevel],
    banner: {
      // Bundled CommonJS packages ask for Node's own modules with `require`.
      js: `import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);`,
    },
    metafile: true,
    logLevel: 'warning',
  });
  const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
  process.stdout.write(`dist/${name}.mjs and its chunks: ${Math.round(bytes / 1024)} KiB\n`);
}
await cp(join(root, 'proto'), join(fresh, 'proto'), { recursive: true });
await cp(join(root, 'LICENSE'), join(fresh, 'LICENSE')).catch(() => undefined);
await rm(dist, { recursive: true, force: true });
await rename(fresh, dist);
