/** What a spec says of a container's log files. Pure. */
import { SwarmError } from '@swarmd/base';
import type { LogSpec } from '@swarmd/model';

import { LOG_FILE_MAX_BYTES, LOG_FILES_KEPT, LOG_FILES_MAX } from '../limits.ts';

export interface LogSettings {
  readonly driver: LogSpec['driver'];
  /** Of the newest file before it is rotated. */
  readonly maxBytes: number;
  /** Rotated files. */
  readonly kept: number;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** @throws SwarmError `invalid-argument` for options that the driver does not understand. */
export function logSettings({ driver, options }: LogSpec): LogSettings {
  const isLocal = driver === '' || driver === 'local';
  let maxBytes = LOG_FILE_MAX_BYTES;
  let kept = LOG_FILES_KEPT;
  for (const [name, value] of Object.entries(options)) {
    const match = /^(\d+)([kmg]?)b?$/i.exec(value);
    if (!isLocal || (name !== 'max-size' && name !== 'max-file') || match === null) {
      throw new SwarmError(
        'invalid-argument',
        `log driver ${driver || 'local'}: option ${name}=${value} is not understood; local has max-size (e.g. 10m) and max-file (e.g. 3)`,
      );
    }
    const amount = Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? 1);
    if (name === 'max-size') maxBytes = Math.max(amount, 1);
    else kept = Math.min(Math.max(amount, 1), LOG_FILES_MAX) - 1;
  }
  return { driver, maxBytes, kept };
}
