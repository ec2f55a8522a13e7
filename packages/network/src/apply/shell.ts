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
 * Runs scripts one after the other, and gives what each printed: as long an answer is not one write, and
 * would be torn by those of others.
 */
export function openReader(): Helper<string> {
  return new Helper({ argv: () => ARGV, frame: readingOf, rest: 'wait\n', atOnce: 1 });
}

/**
 * One compound command: a shell that is cut off in the middle of it has not understood it, and runs
 * none of it. What it says comes in one write.
 */
function jobOf(id: number, script: string | Buffer): string {
  const shortened = `[ $code = 0 ] || said=$(printf %s "$said" | head -c ${ERROR_TEXT_BYTES} | ${ONE_LINE})`;
  return framed(id, script, { heard: '2>&1 >/dev/null', shortened });
}

function readingOf(id: number, script: string | Buffer): string {
  return framed(id, script, {
    heard: '2>&1',
    shortened: `said=$(printf %s "$said" | ${ONE_LINE})`,
  });
}

/** See `Helper` for what it makes of it. */
const ONE_LINE = "tr '\\n' '\\036'";

function framed(
  id: number,
  script: string | Buffer,
  { heard, shortened }: { heard: string; shortened: string },
): string {
  return `{ said=$( { set -e
${script.toString()}
} ${heard} )
code=$?
${shortened}
printf '%s %s %s\\n' ${id} $code "$said"
} &
`;
}
