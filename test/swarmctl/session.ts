/** swarmctl as people run it, within a test: its own parser, against a manager of this process. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { SwarmError } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { runProgram } from '@swarmd/cli';
import { openCluster, type ClusterClient } from '@swarmd/client';

const REPEAT = { clock: systemClock, random: systemRandom, ids: systemIds };
const CALL_TIMEOUT_MS = 20_000;

type Context = Parameters<typeof runProgram>[0];

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class Session implements Disposable {
  readonly #cluster: ClusterClient & Disposable;

  constructor(controlSocket: string) {
    this.#cluster = openCluster(controlSocket, REPEAT);
  }

  [Symbol.dispose](): void {
    this.#cluster[Symbol.dispose]();
  }

  async run(...argv: readonly string[]): Promise<Ran> {
    const printed = { out: '', err: '' };
    const none = (): never => {
      throw new SwarmError('internal', 'not in this session');
    };
    const context: Context = {
      random: systemRandom,
      clock: systemClock,
      call: { signal: AbortSignal.timeout(CALL_TIMEOUT_MS), timeoutMs: CALL_TIMEOUT_MS },
      credentials: { find: () => undefined, store: none, erase: none },
      daemon: none,
      cluster: async () => this.#cluster,
      terminal: {
        out: (text) => void (printed.out += text),
        err: (text) => void (printed.err += text),
        interactive: false,
        columns: () => 80,
        readFile: (path) => Buffer.from(`content of ${path}`),
        console: {
          isTerminal: false,
          size: () => ({ rows: 0, columns: 0 }),
          onResize: none,
          raw: none,
          input: none,
          closeInput: none,
          write: none,
        },
        onSignal: none,
      },
    };
    const code = await runProgram(context, argv);
    return { code, ...printed };
  }

  /** A whole command line; a shell takes it apart. */
  async type(line: string): Promise<Ran> {
    const { stdout } = await promisify(execFile)('sh', ['-c', `printf '%s\\0' ${line}`]);
    const [program, ...argv] = stdout.split('\0').slice(0, -1);
    if (program !== 'swarmctl') throw new SwarmError('internal', `not for swarmctl: ${line}`);
    return this.run(...argv);
  }
}
