/** Lines to a syslog daemon, here or elsewhere. */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect as connectNet, isIPv6, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import {
  abortReason,
  errorMessage,
  SwarmError,
  unreachable,
  withDeadline,
  type Clock,
} from '@swarmd/base';
import type { SyslogTarget } from '@swarmd/model';

import { errnoOf } from '../../files/atomic-file.ts';
import { DATAGRAM_MAX_BYTES, SHIP_SEND_TIMEOUT_MS } from '../../limits.ts';
import { DatagramSender } from './datagrams.ts';
import type { ShipLine, Sink } from './protocol.ts';
import { framed, syslogMessage, type SyslogSource } from './syslog-message.ts';

const LOCAL_SOCKETS = ['/dev/log', '/var/run/syslog', '/var/run/log'];

interface Wire extends AsyncDisposable {
  send(messages: readonly Buffer[], signal: AbortSignal): Promise<void>;
}

/** Connects at the first line, and again after whatever went wrong. */
export class SyslogSink implements Sink {
  readonly #source: SyslogSource & { readonly target: SyslogTarget };
  readonly #clock: Clock;
  #wire: Wire | undefined;

  constructor(source: SyslogSource & { readonly target: SyslogTarget }, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  async write(lines: readonly ShipLine[], signal: AbortSignal): Promise<number> {
    const { target } = this.#source;
    try {
      this.#wire ??= await openWire(target, this.#clock, signal);
      const isStream = this.#wire instanceof StreamWire;
      const messages = lines.map((line) => syslogMessage(this.#source, line));
      const frames = isStream ? messages.map((one) => framed(this.#source, one)) : messages;
      await this.#wire.send(frames, signal);
      return lines.length;
    } catch (error) {
      await this.#close();
      if (signal.aborted) throw abortReason(signal);
      throw new SwarmError('unavailable', `syslog at ${nameOf(target)}: ${errorMessage(error)}`);
    }
  }

  async #close(): Promise<void> {
    await this.#wire?.[Symbol.asyncDispose]();
    this.#wire = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

function nameOf({ transport, host, port, path }: SyslogTarget): string {
  if (transport === 'local') return 'this machine';
  return path === '' ? `${transport}://${host}:${port}` : `${transport}://${path}`;
}

async function openWire(target: SyslogTarget, clock: Clock, signal: AbortSignal): Promise<Wire> {
  const { transport, host, port, path, tls } = target;
  switch (transport) {
    case 'udp':
      return new UdpWire(host, port);
    case 'tcp':
      return StreamWire.open(connectNet({ host, port }), { clock, signal, event: 'connect' });
    case 'tcp+tls': {
      const file = (name: string): Buffer | undefined =>
        name === '' ? undefined : readFileSync(name);
      const socket = connectTls({
        host,
        port,
        ca: file(tls.ca),
        cert: file(tls.cert),
        key: file(tls.key),
        rejectUnauthorized: !tls.skipVerify,
        servername: /^[\d.]+$|:/.test(host) ? '' : host,
      });
      return StreamWire.open(socket, { clock, signal, event: 'secureConnect' });
    }
    case 'unixgram':
      return new DatagramSender(path, clock);
    case 'unix':
    case 'local': {
      const found = path === '' ? LOCAL_SOCKETS.find((one) => existsSync(one)) : path;
      if (found === undefined) {
        throw new SwarmError('unavailable', `nobody listens at ${LOCAL_SOCKETS.join(', ')}`);
      }
      try {
        const socket = connectNet({ path: found });
        return await StreamWire.open(socket, { clock, signal, event: 'connect' });
      } catch (error) {
        if (errnoOf(error) !== 'EPROTOTYPE') throw error;
        return new DatagramSender(found, clock);
      }
    }
    default:
      return unreachable(transport);
  }
}

class StreamWire implements Wire {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #failure: Error | undefined;

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    // A server that closes would otherwise be noticed one lost batch later.
    socket.on('error', (error) => (this.#failure ??= error));
    socket.on('end', () => (this.#failure ??= new Error('the server closed the connection')));
    socket.resume();
  }

  static async open(
    socket: Socket,
    {
      clock,
      signal,
      event,
    }: { readonly clock: Clock; readonly signal: AbortSignal; readonly event: string },
  ): Promise<StreamWire> {
    try {
      const limits = { clock, timeoutMs: SHIP_SEND_TIMEOUT_MS, what: 'connecting', signal };
      await withDeadline(limits, (signal) => once(socket, event, { signal }));
      return new StreamWire(socket, clock);
    } catch (error) {
      socket.on('error', () => undefined).destroy();
      throw error;
    }
  }

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const limits = { clock: this.#clock, timeoutMs: SHIP_SEND_TIMEOUT_MS, what: 'sending', signal };
    await withDeadline(limits, async () => {
      if (this.#failure !== undefined) throw this.#failure;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#socket.write(Buffer.concat(messages), (error) => {
        if (error) reject(error);
        else resolve();
      });
      await promise;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // TLS says goodbye, servers complain otherwise; but not to one that takes nothing any more.
    if (this.#socket.writableLength === 0) this.#socket.destroySoon();
    else this.#socket.destroy();
  }
}

class UdpWire implements Wire {
  readonly #socket: Datagrams;
  readonly #host: string;
  readonly #port: number;
  #failure: Error | undefined;

  constructor(host: string, port: number) {
    this.#socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    this.#socket.on('error', (error) => (this.#failure ??= error));
    this.#host = host;
    this.#port = port;
  }

  /** Longer ones are cut: a datagram has no more room. */
  async send(messages: readonly Buffer[]): Promise<void> {
    for (const message of messages) {
      if (this.#failure !== undefined) throw this.#failure;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const data = message.subarray(0, DATAGRAM_MAX_BYTES);
      this.#socket.send(data, this.#port, this.#host, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
      await promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}
