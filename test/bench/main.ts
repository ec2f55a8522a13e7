/** npm run bench -- NAME [options]: prints JSON lines. Timings depend on the machine; compare within one run. */
import { inspect, parseArgs } from 'node:util';

import { benchExecutor, EXECUTOR_PARTS } from './executor.ts';
import { benchLogs, LOG_PARTS } from './logs.ts';
import { benchNetwork, NETWORK_PARTS } from './network.ts';
import { benchOrchestrate } from './orchestrate.ts';
import { comparePeer } from './peer.ts';
import { benchRaft, RAFT_LONG_PART, RAFT_PARTS } from './raft.ts';
import { benchStartup, STARTUP_PARTS } from './startup.ts';

const USAGE = `Usage: npm run bench -- startup [--runs 15] [--slow-runs 3] [--part NAME]... [--keep] [--peer FOLDER]
       npm run bench -- raft [--runs 5] [--slow-runs 3] [--part NAME]... [--minutes 10] [--tasks 100000] [--keep]

       npm run bench -- network [--runs 20] [--part NAME]...

  startup   create, scale, replace, take over (standby), lose a worker, lose the leader; memory (a lab of 3 managers and 2 workers)
  orchestrate [--nodes 5000] [--tasks 100000] [--services 500] [--managers 1,3] [--idle 10]
            place all tasks at once, then one more, then rest; simulated nodes, real Raft
  --peer    folder of a harness (peer.sh) that runs a real Docker Swarm beside us, for ratios in one run
  raft      consensus beside etcd on the same hosts: writes, failover, big-state (a lab of 3 managers)
  network   the data plane of two hosts: attach, endpoints, backends, a large cluster, DNS, overlay beside host to
            host; and of a lab of five: from a commit to the last kernel: ${NETWORK_PARTS.join(', ')}
  executor [--runs 20] [--part NAME]... [--containers 500]
            containers and images on this machine: ${EXECUTOR_PARTS.join(', ')}; start, burst and pull
            beside Docker, in turns, where dockerd is in the PATH (Debian's docker.io; it needs no service)
  logs [--runs 3] [--part read|flood]... [--lines 3000000] [--seconds 10] [--keep]
            what a task that floods its log costs, and how fast it is read (a lab of 1 manager and 1 worker)
  --part    startup: only these of: ${STARTUP_PARTS.join(', ')}
            raft: only these of: ${RAFT_PARTS.join(', ')}, and ${RAFT_LONG_PART}, which is not done unless asked for
  --minutes ${RAFT_LONG_PART}: how long the leader is watched under full scheduling load
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string' },
    'slow-runs': { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
    peer: { type: 'string' },
    part: { type: 'string', multiple: true },
    containers: { type: 'string', default: '500' },
    minutes: { type: 'string', default: '10' },
    nodes: { type: 'string', default: '5000' },
    tasks: { type: 'string', default: '100000' },
    services: { type: 'string', default: '500' },
    managers: { type: 'string', default: '1,3' },
    idle: { type: 'string', default: '10' },
    lines: { type: 'string', default: '3000000' },
    seconds: { type: 'string', default: '10' },
  },
});

/** Of an error during clean-up Node shows neither itself nor the one that it hides. */
function tell(error: unknown): void {
  if (!(error instanceof SuppressedError)) process.stderr.write(`${inspect(error)}\n`);
  else for (const each of [error.suppressed, error.error] as unknown[]) tell(each);
}
process.once('uncaughtException', (error) => {
  tell(error);
  process.exitCode = 1;
});

if (positionals[0] === 'startup') {
  const medians = await benchStartup({
    runs: Number(values.runs ?? 15),
    slowRuns: Number(values['slow-runs']),
    keep: values.keep,
    parts: values.part ?? STARTUP_PARTS,
  });
  if (values.peer !== undefined) await comparePeer(values.peer, 'abdef', medians);
} else if (positionals[0] === 'raft') {
  await benchRaft({
    runs: Number(values.runs ?? 5),
    slowRuns: Number(values['slow-runs']),
    minutes: Number(values.minutes),
    tasks: Number(values.tasks),
    keep: values.keep,
    parts: values.part ?? RAFT_PARTS,
  });
} else if (positionals[0] === 'network') {
  await benchNetwork({ runs: Number(values.runs ?? 20), parts: values.part });
} else if (positionals[0] === 'logs') {
  await benchLogs({
    runs: Number(values.runs ?? 3),
    lines: Number(values.lines),
    seconds: Number(values.seconds),
    keep: values.keep,
    parts: values.part ?? LOG_PARTS,
  });
} else if (positionals[0] === 'executor') {
  await benchExecutor({
    runs: Number(values.runs ?? 20),
    containers: Number(values.containers),
    parts: values.part ?? EXECUTOR_PARTS,
  });
} else if (positionals[0] === 'orchestrate') {
  await benchOrchestrate({
    nodes: Number(values.nodes),
    tasks: Number(values.tasks),
    services: Number(values.services),
    managers: values.managers.split(',').map(Number),
    idleMs: Number(values.idle) * 1_000,
  });
} else {
  process.stderr.write(USAGE);
  process.exitCode = 2;
}
