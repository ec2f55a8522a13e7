/** One run: clients at every manager, faults one after the other, and the judgement of what was seen. */
import { checkLinearizable, register, SeededRandom } from '@swarmd/base/testing';
import { systemIds } from '@swarmd/base/system';
import { waitUntil, type Lab } from '@swarmd/lab';

import { Clients, INITIAL, type Counts } from './clients.ts';
import { Dice, FAULTS } from './nemesis.ts';

export interface RunOptions {
  readonly lab: Lab;
  readonly seed: number;
  /** Names of FAULTS, in this order; or chosen by chance for so long. */
  readonly faults: readonly string[] | { readonly forMs: number };
  readonly registers: number;
  /** How long a fault lasts, and the quiet after it: at least, and by chance up to so much more. */
  readonly faultMs: { readonly least: number; readonly more: number };
  readonly quietMs: { readonly least: number; readonly more: number };
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly counts: Counts;
  readonly faults: number;
  /** What must not be; empty when all is well. */
  readonly violations: readonly string[];
}

const HEAL_MS = 120_000;
/** What swarmctl exits with when nobody could answer. */
const UNREACHABLE = 4;

export async function runFaults(options: RunOptions): Promise<RunResult> {
  const { lab, seed, say } = options;
  const dice = new Dice(new SeededRandom(seed));
  const names = lab.nodes.map((host) => host.name);
  const clients = new Clients(lab, systemIds.next());
  await clients.start(options.registers);
  const began = performance.now();
  const seconds = (): string => ((performance.now() - began) / 1_000).toFixed(1).padStart(6);
  let count = 0;
  const next = (): string | undefined => {
    if (!('forMs' in options.faults)) return options.faults[count];
    const over = performance.now() - began >= options.faults.forMs;
    return over ? undefined : dice.pick(Object.keys(FAULTS));
  };
  for (let kind = next(); kind !== undefined; kind = next()) {
    const fault = FAULTS[kind]?.(names, dice);
    if (fault === undefined)
      throw new Error(`no fault "${kind}"; there are ${Object.keys(FAULTS).join(' ')}`);
    count += 1;
    say(`${seconds()} ${fault.what}`);
    await fault.begin(lab);
    await chancePause(dice, options.faultMs);
    await lab.mendLinks();
    await Promise.all(fault.hosts.map((name) => lab.heal(name)));
    say(`${seconds()} healed; ${described(clients.history.counts)}`);
    await chancePause(dice, options.quietMs);
  }
  await settled(lab);
  await clients.stop();
  await clients.readEverywhere();
  const violations = [...judge(clients), ...(await lost(lab, clients.history.acknowledged))];
  return { counts: clients.history.counts, faults: count, violations };
}

/** Everybody is back, and a write is taken everywhere. */
async function settled(lab: Lab): Promise<void> {
  for (const host of lab.nodes) await lab.heal(host.name);
  const [first] = lab.nodes;
  if (first !== undefined) await lab.cluster.allReady(first);
  for (const host of lab.nodes) {
    await waitUntil({ what: `${host.name} to take a write`, timeoutMs: HEAL_MS }, async () => {
      const line = `echo x | swarmctl config create settled-${host.name} - || swarmctl config inspect settled-${host.name}`;
      const { code } = await host.exec(['sh', '-c', `{ ${line}; } >/dev/null 2>&1`], {
        okCodes: [0, 1, 2, 3, 4, 5],
      });
      return code === 0 ? true : undefined;
    });
  }
}

function judge(clients: Clients): string[] {
  return [...clients.history.registers].flatMap(([name, operations]) => {
    const verdict = checkLinearizable(register(INITIAL), operations);
    if (verdict.kind === 'linearizable') return [];
    if (verdict.kind === 'undecided')
      return [`${name}: ${operations.length} operations, undecided`];
    const { invoked, completed = Infinity } = verdict.operation;
    const beside = operations.filter(
      (other) => other.invoked <= completed && (other.completed ?? Infinity) >= invoked,
    );
    return [
      `${name} is not linearizable at ${JSON.stringify(verdict.operation)} beside ${JSON.stringify(beside.slice(0, 40))}`,
    ];
  });
}

/** Acknowledged names that some manager does not have. */
async function lost(lab: Lab, acknowledged: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  for (const host of lab.nodes) {
    const stdout = await waitUntil(
      { what: `${host.name} to list what there is`, timeoutMs: HEAL_MS },
      async () => {
        const argv = ['swarmctl', 'config', 'ls', '--format', 'json'];
        const listed = await host.exec(argv, { okCodes: [0, UNREACHABLE] });
        return listed.code === 0 ? listed.stdout : undefined;
      },
    );
    const rows = JSON.parse(stdout) as { spec: { name: string } }[];
    const there = new Set(rows.map((row) => row.spec.name));
    const missing = [...acknowledged].filter((name) => !there.has(name));
    if (missing.length > 0) found.push(`${host.name} has lost ${missing.join(' ')}`);
    if (there.size !== rows.length) found.push(`${host.name} has a name twice`);
  }
  return found;
}

function described(counts: Counts): string {
  return Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}

function chancePause(dice: Dice, range: { least: number; more: number }): Promise<void> {
  const ms = range.least + dice.below(range.more + 1);
  return new Promise((resolve) => setTimeout(resolve, ms));
}
