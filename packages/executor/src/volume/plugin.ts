/**
 * Volume drivers of others by Docker's plugin protocol: JSON over HTTP on a socket that carries the
 * driver's name (docs.docker.com/engine/extend/plugins_volume).
 */
import { request } from 'node:http';
import { join } from 'node:path';

import { errorMessage, SwarmError, withDeadline, type Clock } from '@swarmd/base';

import { errnoOf } from '../files/atomic-file.ts';
import { PLUGIN_ANSWER_MAX_BYTES, PLUGIN_TIMEOUT_MS } from '../limits.ts';

export class VolumePlugin {
  readonly #name: string;
  readonly #socket: string;
  readonly #clock: Clock;

  /** @param where `folder`: where plugins have their sockets, e.g. "/run/docker/plugins". */
  constructor(name: string, where: { readonly folder: string; readonly clock: Clock }) {
    this.#name = name;
    this.#socket = join(where.folder, `${name}.sock`);
    this.#clock = where.clock;
  }

  async create(volume: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#activate();
    await this.#call('VolumeDriver.Create', { Name: volume, Opts: options });
  }

  /** @returns the folder on this machine. @param user who needs it: the plugin counts them. */
  async mount(volume: string, user: string): Promise<string> {
    const answer = await this.#call('VolumeDriver.Mount', { Name: volume, ID: user });
    const mountpoint = answer['Mountpoint'];
    if (typeof mountpoint === 'string' && mountpoint.startsWith('/')) return mountpoint;
    throw this.#failed('VolumeDriver.Mount', 'it named no folder');
  }

  async unmount(volume: string, user: string): Promise<void> {
    await this.#call('VolumeDriver.Unmount', { Name: volume, ID: user });
  }

  async remove(volume: string): Promise<void> {
    await this.#call('VolumeDriver.Remove', { Name: volume });
  }

  /** The protocol begins with it; many plugins are content without. */
  async #activate(): Promise<void> {
    const { Implements: kinds } = await this.#call('Plugin.Activate', {});
    if (!Array.isArray(kinds) || kinds.includes('VolumeDriver')) return;
    throw this.#failed('Plugin.Activate', `it is no volume driver, but ${kinds.join(', ')}`);
  }

  async #call(method: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    // Of the whole answer: one that comes byte by byte would hold a container's start up for ever.
    const deadline = { clock: this.#clock, timeoutMs: PLUGIN_TIMEOUT_MS, what: 'its answer' };
    const text = await withDeadline(deadline, (signal) =>
      this.#post(`/${method}`, JSON.stringify(body), signal),
    ).catch((error: unknown) => {
      const isMissing = errnoOf(error) === 'ENOENT';
      throw this.#failed(method, isMissing ? 'this node has no such plugin' : errorMessage(error));
    });
    const answer = parse(text);
    const { Err: error } = answer;
    if (typeof error === 'string' && error !== '') throw this.#failed(method, error);
    return answer;
  }

  #post(path: string, body: string, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.#socket,
          path,
          method: 'POST',
          headers: { 'content-type': 'application/vnd.docker.plugins.v1.2+json' },
          signal,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
            if (text.length <= PLUGIN_ANSWER_MAX_BYTES) return;
            response.destroy(new Error(`an answer of more than ${PLUGIN_ANSWER_MAX_BYTES} bytes`));
          });
          response.on('error', reject).on('end', () => resolve(text));
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }

  #failed(method: string, why: string): SwarmError {
    return new SwarmError(
      'unavailable',
      `volume driver "${this.#name}" (${this.#socket}): ${method}: ${why}`,
    );
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return { Err: `it answered no JSON: ${text.slice(0, 200)}` };
  }
}
