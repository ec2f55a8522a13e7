/** Whether somebody is there, by a TCP connection. */
import { run } from '@swarmd/base/system';

import { PROBE_SECONDS } from '../limits.ts';

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
  const script = `exec 3<>/dev/tcp/${target.address}/${target.port}`;
  const argv = [...enter, 'timeout', String(PROBE_SECONDS), 'bash', '-c', script];
  const [program = '', ...args] = argv;
  const { code, stderr } = await run(program, args, { signal, okCodes: [0, 1, TIMED_OUT] });
  if (code === 0 || /Connection refused/.test(stderr)) return undefined;
  return code === TIMED_OUT ? 'timeout' : (stderr.trim().split(': ').at(-1) ?? '');
}
