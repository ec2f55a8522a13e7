/** What members say, for RAFT_TEST_LOG=1. */
import type { Logger } from '@swarmd/base';

export function consoleLogger(name: string): Logger {
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      console.log(performance.now().toFixed(0), name, level, message, JSON.stringify(fields));
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (bindings) => consoleLogger(`${name} ${Object.values(bindings).join(' ')}`),
  };
}
