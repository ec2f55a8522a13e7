/** npm run bench -- NAME [options]: prints JSON lines. Timings depend on the machine; compare within one run. */
import { parseArgs } from 'node:util';

import { comparePeer } from './peer.ts';
import { benchStartup } from './startup.ts';

const USAGE = `Usage: npm run bench -- startup [--runs 15] [--slow-runs 3] [--keep] [--peer FOLDER]

  startup   create, scale, replace, lose a worker, lose the leader; memory (a lab of 3 managers and 2 workers)
  --peer    folder of a harness (peer.sh) that runs a real Docker Swarm beside us, for ratios in one run
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '15' },
    'slow-runs': { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
    peer: { type: 'string' },
  },
});

if (positionals[0] === 'startup') {
  const medians = await benchStartup({
    runs: Number(values.runs),
    slowRuns: Number(values['slow-runs']),
    keep: values.keep,
  });
  if (values.peer !== undefined) await comparePeer(values.peer, 'abdef', medians);
} else {
  process.stderr.write(USAGE);
  process.exitCode = 2;
}
