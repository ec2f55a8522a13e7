/**
 * What ip(8) and bridge(8) list. Listings that are asked for at once are one script of a shell: from the
 * daemon itself each program would cost its only thread 3 ms, and to look at a host takes fifteen.
 */
import { SwarmError } from '@swarmd/base';

import { openReader } from './shell.ts';

interface Listing {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Wanted {
  readonly command: string;
  readonly resolve: (listing: Listing) => void;
  readonly reject: (error: unknown) => void;
}

const reader = openReader();
let gathered: Wanted[] = [];

/** Between what a program printed, and what it came to: in no text of theirs. */
const SEPARATOR = '\u001d';

/** @param args without anything that means something to a shell. */
export function list(program: 'ip' | 'bridge', args: readonly string[]): Promise<Listing> {
  const { promise, resolve, reject } = Promise.withResolvers<Listing>();
  if (gathered.length === 0) queueMicrotask(() => void runGathered());
  gathered.push({ command: [program, ...args].join(' '), resolve, reject });
  return promise;
}

/** The JSON that a listing prints; an empty list when it prints nothing. @throws SwarmError `internal`. */
export async function listJson<T>(program: 'ip' | 'bridge', args: readonly string[]): Promise<T[]> {
  const { code, stdout, stderr } = await list(program, ['-j', ...args]);
  if (code === 0) return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
  const what = `${program} ${args.join(' ')}`;
  throw new SwarmError('internal', `${what}: exit code ${code}: ${stderr}`);
}

/** Names of all network namespaces that are mounted in our mount namespace. */
export async function listNetns(): Promise<string[]> {
  const namespaces = await listJson<{ name: string }>('ip', ['netns', 'list']);
  return namespaces.map(({ name }) => name);
}

async function runGathered(): Promise<void> {
  const wanted = gathered;
  gathered = [];
  try {
    const said = await reader.run(wanted.map(({ command }) => scriptOf(command)).join('\n'));
    const parts = said.split(SEPARATOR);
    for (const [i, { resolve }] of wanted.entries()) {
      const [stdout = '', end = ''] = parts.slice(2 * i);
      const [code = '', ...words] = end.split(' ');
      resolve({ code: Number(code), stdout, stderr: words.join(' ') });
    }
  } catch (error) {
    for (const { reject } of wanted) reject(error);
  }
}

/** One that fails says so in its own part, and the others go on. */
function scriptOf(command: string): string {
  return `{ said=$(${command} 2>&1 >&3) && code=0 || code=$?; } 3>&1
printf '\\035%s %s\\035' $code "$said"`;
}
