/** Whether somebody is there, by a TCP connection. */
import { errorMessage } from '@swarmd/base';

import { PROBE_SECONDS } from '../limits.ts';
import { asks } from './reading.ts';

/** Where managers reach the agents: nodes let each other in there. */
export const AGENT_PORT = 4_244;
/** What timeout(1) exits with. */
const TIMED_OUT = 124;

/**
 * A refused connection is an answer as good as an accepted one: whatever listens there, packets go and
 * come. @param enter what comes before the command, to knock from another namespace. @returns why
 * there was no answer; undefined: there was one.
 */
export async function knock(
  enter: readonly string[],
  target: { address: string; port: number },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { address, port } = target;
  const script = `${enter.join(' ')} timeout ${PROBE_SECONDS} bash -c 'exec 3<>/dev/tcp/${address}/${port}'`;
  try {
    await asks(script, signal);
    return undefined;
  } catch (error) {
    const [, code, said = ''] = /^exit code (\d+): ([^]*)$/.exec(errorMessage(error)) ?? [];
    if (code === undefined) throw error;
    if (/Connection refused/.test(said)) return undefined;
    return Number(code) === TIMED_OUT ? 'timeout' : (said.trim().split(': ').at(-1) ?? '');
  }
}
