/**
 * Command lines and what they print. A block of testdata/*.txt is comments ("# ..."), what the world is
 * like ("given ..."), command lines, "----" and what came of them: plain lines are standard output,
 * "! " standard error, "> " what the cluster was told, "exit N" the exit code when it is not 0; "." is
 * an empty line. Each block has a cluster of its own (see support/world.ts). UPDATE=1 rewrites.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { ManualClock, SeededRandom } from '@swarmd/base/testing';
import type { ErrorCode } from '@swarmd/base';
import { openDaemon } from '@swarmd/client';
import type { RegistryCredentials } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import type { Context } from '../src/context.ts';
import { runProgram } from '../src/program.ts';
import { splitWords } from '../src/words.ts';
import { FakeCluster, type Place } from './support/fake-cluster.ts';
import { addStandbys, NOW } from './support/world.ts';

const folder = fileURLToPath(new URL('../testdata/', import.meta.url));
const rewrite = process.env['UPDATE'] === '1';

class Session {
  #output: { mark: string; text: string }[] = [];
  readonly #fake = new FakeCluster((text) => this.#add('> ', `${text}\n`));
  readonly #context: Context;
  readonly #credentials = new Map<string, RegistryCredentials>();
  #hasDaemon = true;
  #interactive = false;

  constructor() {
    const terminal = {
      out: (text: string) => this.#add('', text),
      err: (text: string) => this.#add('! ', text),
      columns: () => 40,
      readFile: (path: string) => new TextEncoder().encode(`content of ${path}`),
    };
    const isInteractive = (): boolean => this.#interactive;
    this.#context = {
      random: new SeededRandom(1),
      terminal: {
        ...terminal,
        console: {
          isTerminal: false,
          size: () => ({ rows: 0, columns: 0 }),
          onResize: () => ({ [Symbol.dispose]: () => undefined }),
          raw: () => ({ [Symbol.dispose]: () => undefined }),
          input: async function* () {
            yield Buffer.from('typed');
          },
          closeInput: () => undefined,
          write: async (stream, data) =>
            this.#add(stream === 'stdout' ? '' : '! ', Buffer.from(data).toString()),
        },
        onSignal: () => ({ [Symbol.dispose]: () => undefined }),
        get interactive() {
          return isInteractive();
        },
      },
      credentials: {
        find: (host) => this.#credentials.get(host),
        store: (host, credentials) => {
          this.#credentials.set(host, credentials);
          return '~/registries.json';
        },
        erase: (host) => this.#credentials.delete(host),
      },
      clock: new ManualClock(NOW),
      call: { signal: new AbortController().signal },
      daemon: () => (this.#hasDaemon ? this.#fake.daemon : openDaemon('/no/such/folder')),
      cluster: async () => this.#fake.cluster,
    };
  }

  async run(lines: readonly string[]): Promise<string> {
    for (const line of lines) {
      const [program, ...argv] = splitWords(line);
      if (program === 'given') this.#given(argv[0] ?? '', argv[1] ?? '');
      else {
        const code = await runProgram(this.#context, argv);
        if (code !== 0) this.#add('', `exit ${code}\n`);
      }
    }
    return this.#printed();
  }

  #given(what: string, value: string): void {
    if (what === 'daemon') this.#hasDaemon = value !== 'none';
    else if (what === 'machine') this.#fake.place = value as Place;
    else if (what === 'failure') this.#fake.failure = value as ErrorCode;
    else if (what === 'terminal') this.#interactive = true;
    else if (what === 'network') this.#fake.addNetwork(value);
    else if (what === 'standbys') addStandbys(this.#fake.world, value);
    else throw new Error(`given ${what}?`);
  }

  /** Writes to one stream go on in the same line. */
  #add(mark: string, text: string): void {
    const last = this.#output.at(-1);
    if (last?.mark === mark) last.text += text;
    else this.#output.push({ mark, text });
  }

  #printed(): string {
    return this.#output
      .flatMap(({ mark, text }) =>
        text
          .replace(/\n$/, '')
          .replaceAll('\u001b', '^')
          .replaceAll('\r', '<')
          .split('\n')
          .map((line) => mark + line || '.'),
      )
      .map((line) => line.trimEnd())
      .join('\n');
  }
}

interface Block {
  readonly comments: readonly string[];
  readonly commands: readonly string[];
}

function parse(text: string): Block[] {
  return text
    .split(/\n{2,}/)
    .map((block) => block.trim().split('\n'))
    .map((lines) => {
      const comments = lines.filter((line) => line.startsWith('#'));
      const rest = lines.filter((line) => !line.startsWith('#'));
      const end = rest.indexOf('----');
      return { comments, commands: end < 0 ? rest : rest.slice(0, end) };
    });
}

describe('command lines', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
  it.each(files)('%s', async (file) => {
    const text = readFileSync(folder + file, 'utf8');
    const printed: string[] = [];
    for (const { comments, commands } of parse(text)) {
      const output = await new Session().run(commands);
      printed.push([...comments, ...commands, '----', output].join('\n'));
    }
    const actual = `${printed.join('\n\n')}\n`;
    if (rewrite) writeFileSync(folder + file, actual);
    expect(actual).toBe(rewrite ? actual : text);
  });
});
