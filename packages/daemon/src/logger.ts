/** One JSON line an event on standard output, where the service manager collects it. */
import type { Logger } from '@swarmd/base';
import { pino } from 'pino';

import type { LogLevel } from './config/settings.ts';

export function createLogger(level: LogLevel): Logger {
  const options = { level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pino.destination({ dest: 1, sync: true }));
}
