/**
 * A real Docker Swarm on the same machine, by way of a harness given with --peer: a folder with a
 * `peer.sh` that prints one JSON line a metric. Ratios are ours divided by its median.
 */
import { spawn } from 'node:child_process';

interface PeerLine {
  readonly item?: string;
  readonly metric?: string;
  readonly median?: number;
  readonly how?: string;
  readonly net?: string;
  readonly restart_delay?: string;
}

/** Our metric, and which line of the peer's it compares with. */
const PAIRS: readonly { readonly ours: string; readonly fits: (line: PeerLine) => boolean }[] = [
  {
    ours: 'create',
    fits: (line) =>
      line.metric === 'create1_to_running' && line.how === 'api' && line.net === 'bridge',
  },
  {
    ours: 'scale',
    fits: (line) => line.metric === 'scale3to50_all_running' && line.net === 'bridge',
  },
  {
    ours: 'replace',
    fits: (line) => line.metric === 'task_killed_to_replacement' && line.restart_delay === '0s',
  },
  { ours: 'worker', fits: (line) => line.metric === 'node_killed_to_all_replaced' },
  { ours: 'leader', fits: (line) => line.metric === 'leader_killed_to_create_ok' },
];

/** Runs the peer's items (letters, see its --help) and prints a ratio for each of our medians. */
export async function comparePeer(
  folder: string,
  items: string,
  ours: ReadonlyMap<string, number>,
): Promise<void> {
  for (const line of await measure(folder, items)) {
    const pair = PAIRS.find((candidate) => candidate.fits(line));
    const mine = pair === undefined ? undefined : ours.get(pair.ours);
    if (pair === undefined || mine === undefined || line.median === undefined) continue;
    const ratio = Math.round((mine / line.median) * 1000) / 1000;
    process.stdout.write(
      `${JSON.stringify({ bench: 'startup', compare: 'docker-swarm', metric: pair.ours, ours: Math.round(mine), swarm: line.median, ratio })}\n`,
    );
  }
}

function measure(folder: string, items: string): Promise<PeerLine[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(`${folder}/peer.sh`, ['measure', items, '--slow-runs', '2'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
    });
    child.on('error', reject);
    child.on('close', () =>
      resolve(
        text
          .split('\n')
          .filter((line) => line.startsWith('{'))
          .map((line) => JSON.parse(line) as PeerLine),
      ),
    );
  });
}
