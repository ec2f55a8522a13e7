/** A shell that runs scripts, several beside each other. */
import { ERROR_TEXT_BYTES } from '../limits.ts';
import { Helper, type HelperOptions } from './helper.ts';

/** Ends with us, however we end; what it runs then comes to its own end. */
const ARGV = ['setpriv', '--pdeathsig', 'KILL', 'sh', '-s'] as const;

/** Runs scripts in the language of sh(1), each in a shell of its own that stops at the first failure. */
export function openShell(
  bounds: Pick<HelperOptions, 'timeoutMs' | 'atOnce'> = {},
): Helper<string> {
  return new Helper({
    argv: () => ARGV,
    frame: jobOf,
    // It forgets what it has run.
    rest: 'wait\n',
    ...bounds,
  });
}

/**
 * One compound command: a shell that is cut off in the middle of it has not understood it, and runs
 * none of it. What it says comes in one write.
 */
function jobOf(id: number, script: string | Buffer): string {
  return `{ said=$( { set -e
${script.toString()}
} 2>&1 >/dev/null )
code=$?
[ $code = 0 ] || said=$(printf %s "$said" | head -c ${ERROR_TEXT_BYTES} | tr '\\n' '\\036')
printf '%s %s %s\\n' ${id} $code "$said"
} &
`;
}
