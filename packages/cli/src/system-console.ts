/** The console of this process. */
import { once } from 'node:events';

import type { Console } from './console.ts';

export function systemConsole(): Console {
  const { stdin, stdout } = process;
  let isInputClosed = false;
  return {
    isTerminal: stdin.isTTY && stdout.isTTY,
    size: () => ({ rows: stdout.rows || 0, columns: stdout.columns || 0 }),
    onResize: (listener) => {
      stdout.on('resize', listener);
      return { [Symbol.dispose]: () => void stdout.off('resize', listener) };
    },
    raw: () => {
      stdin.setRawMode(true);
      return { [Symbol.dispose]: () => void stdin.setRawMode(false) };
    },
    input: async function* () {
      try {
        for await (const data of stdin) yield data as Uint8Array;
      } catch (error) {
        if (!isInputClosed) throw error;
      }
    },
    closeInput: () => {
      isInputClosed = true;
      stdin.destroy();
    },
    write: async (stream, data) => {
      const target = stream === 'stdout' ? stdout : process.stderr;
      if (!target.write(data)) await once(target, 'drain');
    },
  };
}
