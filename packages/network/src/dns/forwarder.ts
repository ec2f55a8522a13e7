/**
 * Questions about the rest of the world go unchanged to the host's name servers: one after the
 * other until one answers, beginning with the one that answered last.
 */
import { createSocket } from 'node:dgram';
import { connect, isIP } from 'node:net';

import { errorMessage, type Clock, type Logger } from '@swarmd/base';

import {
  DNS_FORWARDS_MAX,
  DNS_UPSTREAM_TIMEOUT_MS,
  DNS_UPSTREAM_TRIES,
  RESOLV_CONF_MAX_AGE_MS,
} from '../limits.ts';
import { readResolvConf } from '../apply/resolv-conf.ts';
import { frame, Unframer } from './framing.ts';
import { DNS_CODE } from './message.ts';

const DNS_PORT = 53;

interface Server {
  readonly address: string;
  readonly port: number;
}

export interface ForwarderOptions {
  /** "address" or "IPv4 address:port"; undefined for those of the host's resolv.conf. */
  readonly upstreams: readonly string[] | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Forwarder implements Disposable {
  readonly #options: ForwarderOptions;
  readonly #cancels = new Set<() => void>();
  #fromFile: { readonly at: number; readonly servers: readonly string[] } | undefined;
  #preferred: string | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * The first answer of an upstream server that it stands by; one that says that it cannot or will not
   * answer (SERVFAIL, REFUSED) is given back if no other does better. Undefined when none answered in time.
   * @param own servers of the asker; unless given, those of the host.
   */
  async ask(
    query: Uint8Array,
    transport: 'udp' | 'tcp',
    own?: readonly string[],
  ): Promise<Buffer | undefined> {
    if (this.#cancels.size >= DNS_FORWARDS_MAX) return undefined;
    const servers = this.#inOrder(own ?? (await this.#servers()));
    let refusal: Buffer | undefined;
    for (const address of servers.slice(0, DNS_UPSTREAM_TRIES)) {
      const server = toServer(address);
      const answer = await this.#once((end) =>
        transport === 'udp' ? askUdp(server, query, end) : askTcp(server, query, end),
      );
      if (answer === undefined) continue;
      if (!isRefusal(answer)) {
        this.#preferred = address;
        return answer;
      }
      refusal ??= answer;
    }
    return refusal;
  }

  /** The one that answered last comes first. */
  #inOrder(servers: readonly string[]): readonly string[] {
    const first = this.#preferred;
    if (first === undefined || !servers.includes(first)) return servers;
    return [first, ...servers.filter((server) => server !== first)];
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancels) cancel();
  }

  /** Runs one exchange; `start` returns how to stop it. */
  #once(start: (end: (answer?: Buffer) => void) => () => void): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      let stop: () => void = () => undefined;
      const end = (answer?: Buffer): void => {
        timer.cancel();
        this.#cancels.delete(end);
        stop();
        resolve(answer);
      };
      const timer = this.#options.clock.after(DNS_UPSTREAM_TIMEOUT_MS, () => end());
      this.#cancels.add(end);
      stop = start(end);
    });
  }

  async #servers(): Promise<readonly string[]> {
    const { upstreams, clock, logger } = this.#options;
    if (upstreams !== undefined) return upstreams;
    const now = clock.monotonic();
    if (this.#fromFile === undefined || now - this.#fromFile.at > RESOLV_CONF_MAX_AGE_MS) {
      const servers = await readResolvConf().then(
        ({ nameservers }) => nameservers,
        (error: unknown) => {
          logger.warn({ error: errorMessage(error) }, "cannot read the host's resolv.conf");
          return [];
        },
      );
      this.#fromFile = { at: now, servers };
    }
    return this.#fromFile.servers;
  }
}

function isRefusal(answer: Buffer): boolean {
  const code = (answer[3] ?? 0) & 15;
  return code === DNS_CODE.serverFailure || code === DNS_CODE.refused;
}

function toServer(text: string): Server {
  const colon = text.lastIndexOf(':');
  if (colon < 0 || isIP(text.split('%')[0] ?? '') !== 0) return { address: text, port: DNS_PORT };
  return { address: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

type Exchange = (server: Server, query: Uint8Array, end: (answer?: Buffer) => void) => () => void;

/** A socket and thus a random port of its own for every question; only its server may answer. */
const askUdp: Exchange = (server, query, end) => {
  const socket = createSocket(isIP(server.address.split('%')[0] ?? '') === 6 ? 'udp6' : 'udp4');
  let open = true;
  socket.on('error', () => end());
  socket.on('message', (answer) => {
    if (answer.length >= 2 && answer[0] === query[0] && answer[1] === query[1]) end(answer);
  });
  socket.connect(server.port, server.address, () => {
    if (open) socket.send(query, (error) => (error === null ? undefined : end()));
  });
  return () => {
    open = false;
    socket.close();
  };
};

const askTcp: Exchange = (server, query, end) => {
  const socket = connect(server.port, server.address);
  const unframer = new Unframer((answer) => end(answer));
  socket.on('error', () => end());
  socket.on('close', () => end());
  socket.on('data', (data: Buffer) => unframer.push(data));
  socket.write(frame(query));
  return () => void socket.destroy();
};
