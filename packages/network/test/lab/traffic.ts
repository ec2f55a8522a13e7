/** Questions to servers, as shell lines that print what came back, one line each. */
import { setTimeout as delay } from 'node:timers/promises';

interface Ask {
  readonly count?: number;
  readonly port?: number;
}

/**
 * Options of socat, which gives an answer half a second after the end of its input: on a busy machine a server
 * that starts a program for it takes longer.
 */
export const PATIENT = '-t20 -T20';

/** A shell script that asks all the addresses; each answer is a line. */
export function ask(
  protocol: 'tcp' | 'udp',
  addresses: string | readonly string[],
  { count = 1, port = 80 }: Ask = {},
): string {
  const targets = Array.from({ length: count }, () => addresses).flat();
  if (protocol === 'udp') {
    const list = targets.map((address) => `${address}:${port}`).join(' ');
    return `${process.execPath} ${import.meta.dirname}/ask-udp.ts ${list}`;
  }
  return targets
    .map(
      (address) => `socat ${PATIENT} - TCP:${address}:${port},connect-timeout=1 </dev/null || true`,
    )
    .join('; ');
}

/** How often each line occurs. */
export function tally(out: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of out.trim().split('\n')) counts[line] = (counts[line] ?? 0) + 1;
  return counts;
}

/** The first word of each line: who answered. */
export function who(out: string): string {
  return out.replaceAll(/ .*/g, '');
}

const DEADLINE_MS = 40_000;

/** Waits until the condition holds, with a deadline. */
export async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`still not so after ${DEADLINE_MS} ms: ${what}`);
    await delay(50);
  }
}
