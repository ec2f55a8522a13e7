/** One small document over HTTP, from a task of this node. */
import { request } from 'node:http';

import { SwarmError } from '@swarmd/base';

import { METRIC_BYTES_MAX } from '../limits.ts';

/** @throws SwarmError `unavailable` for any other answer than 200, `resource-exhausted` for a large one. */
export function fetchText(
  from: { readonly address: string; readonly port: number; readonly path: string },
  signal: AbortSignal,
): Promise<string> {
  const { address, port, path } = from;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const where = `http://${address}:${port}${path}`;
  const sent = request({ host: address, port, path, signal, agent: false }, (response) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    response.on('data', (part: Buffer) => {
      bytes += part.byteLength;
      if (bytes <= METRIC_BYTES_MAX) parts.push(part);
      else {
        response.destroy(
          new SwarmError(
            'resource-exhausted',
            `${where} answers more than ${METRIC_BYTES_MAX} bytes`,
          ),
        );
      }
    });
    response.on('error', reject);
    response.on('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(parts).toString('utf8'));
      else reject(new SwarmError('unavailable', `${where} answers ${response.statusCode}`));
    });
  });
  sent.on('error', reject);
  sent.end();
  return promise;
}
