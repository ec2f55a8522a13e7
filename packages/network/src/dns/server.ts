/** DNS for the containers of this host, on its gateway address: one UDP socket, one TCP listener. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

import { disposeOnFailure, errorMessage, type Clock, type Logger } from '@swarmd/base';

import {
  DNS_CACHED_RECORDS_MAX,
  DNS_EDNS_BYTES,
  DNS_TCP_CONNECTIONS_MAX,
  DNS_TCP_IDLE_MS,
  DNS_TTL_SECONDS,
  DNS_UDP_BYTES,
} from '../limits.ts';
import { AnswerCache } from './answer-cache.ts';
import type { Directory, DnsView } from './directory.ts';
import { Forwarder } from './forwarder.ts';
import { frame, Unframer } from './framing.ts';
import { Linger } from './linger.ts';
import {
  DNS_CODE,
  readQuery,
  writeAnswer,
  writeError,
  type Answer,
  type Query,
} from './message.ts';

const TCP_BYTES = 65_535;

/** What the server knows; replaced as a whole with each new state. */
export interface DnsKnowledge {
  readonly directory: Directory;
  /** By source address of the question. */
  viewOf(address: string): DnsView | undefined;
}

export interface DnsServerOptions {
  readonly address: string;
  readonly port: number;
  readonly knowledge: () => DnsKnowledge | undefined;
  readonly upstreams: readonly string[] | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who has asked, and how it is told. */
interface Asked {
  readonly asker: string;
  readonly transport: 'udp' | 'tcp';
  readonly reply: (answer: Buffer) => void;
  /** Where the answer may be kept. */
  readonly cache?: AnswerCache | undefined;
}

export class DnsServer implements AsyncDisposable {
  readonly #options: DnsServerOptions;
  readonly #forwarder: Forwarder;
  readonly #linger: Linger;
  /** Addresses are addresses: nothing is looked up, nor waited for. */
  readonly #udp: UdpSocket = createSocket({
    type: 'udp4',
    lookup: (host, _options, callback) => callback(null, host, 4),
  });
  readonly #tcp: Server = createServer((socket) => this.#serve(socket));
  readonly #connections = new Set<Socket>();
  #caches = new WeakMap<DnsView, AnswerCache>();
  /** Whose answers they are. */
  #cachedOf: Directory | undefined;
  #closed = false;

  private constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#forwarder = new Forwarder(options);
    const nextTurn = (step: () => void): void => void setImmediate(step);
    this.#linger = new Linger({ clock: options.clock, nextTurn });
    this.#tcp.maxConnections = DNS_TCP_CONNECTIONS_MAX;
  }

  /** @throws when the address cannot be bound, e.g. as another DNS server of the host has it. */
  static async listen(options: DnsServerOptions): Promise<DnsServer> {
    const server = new DnsServer(options);
    await disposeOnFailure(server, () => server.#listen());
    return server;
  }

  get address(): string {
    return this.#options.address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#forwarder[Symbol.dispose]();
    this.#linger[Symbol.dispose]();
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
    ]);
  }

  async #listen(): Promise<void> {
    const { address, port, logger } = this.#options;
    // Says so before it returns.
    const listening = once(this.#udp, 'listening');
    this.#udp.bind(port, address);
    await listening;
    this.#tcp.listen(port, address);
    await once(this.#tcp, 'listening');
    for (const socket of [this.#udp, this.#tcp]) {
      socket.on('error', (error: Error) => {
        logger.warn({ error: error.message }, 'DNS socket failed');
      });
    }
    this.#udp.on('message', (bytes, from) => this.#onDatagram(bytes, from));
  }

  #onDatagram(bytes: Buffer, { address, port }: RemoteInfo): void {
    this.#linger.asked();
    const cache = this.#cacheFor(address);
    const known = cache?.find(bytes);
    if (known !== undefined) this.#udp.send(known, port, address);
    else {
      const reply = (answer: Buffer): void => {
        if (!this.#closed) this.#udp.send(answer, port, address);
      };
      this.#answer(bytes, { asker: address, transport: 'udp', reply, cache });
    }
  }

  #cacheFor(asker: string): AnswerCache | undefined {
    const knowledge = this.#options.knowledge();
    const view = knowledge?.viewOf(asker);
    if (knowledge === undefined || view === undefined) return undefined;
    if (this.#cachedOf !== knowledge.directory) {
      this.#cachedOf = knowledge.directory;
      this.#caches = new WeakMap();
    }
    const known = this.#caches.get(view) ?? new AnswerCache();
    this.#caches.set(view, known);
    return known;
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    const asker = socket.remoteAddress ?? '';
    const unframer = new Unframer((bytes) => {
      const reply = (answer: Buffer): void => void socket.write(frame(answer));
      this.#answer(bytes, { asker, transport: 'tcp', reply });
    });
    socket.setTimeout(DNS_TCP_IDLE_MS, () => void socket.destroy());
    socket.on('data', (data: Buffer) => unframer.push(data));
    socket.on('error', () => void socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
  }

  #answer(bytes: Buffer, to: Asked): void {
    const reading = readQuery(bytes);
    if (reading.kind === 'noise') return;
    if (reading.kind === 'error') {
      to.reply(writeError(bytes, reading.code));
      return;
    }
    const { query } = reading;
    const decision = this.#decide(query, to.asker);
    if (decision.kind === 'answer') {
      to.reply(this.#answerOf(query, decision.answer, { ...to, bytes }));
      return;
    }
    const own = this.#options.knowledge()?.viewOf(to.asker)?.upstreams;
    this.#forwarder.ask(bytes, to.transport, own).then(
      (answer) => to.reply(answer ?? writeError(bytes, DNS_CODE.serverFailure)),
      (error: unknown) => {
        this.#options.logger.warn({ error: errorMessage(error) }, 'forwarding a DNS query failed');
        to.reply(writeError(bytes, DNS_CODE.serverFailure));
      },
    );
  }

  #decide(query: Query, asker: string): ReturnType<Directory['decide']> {
    const knowledge = this.#options.knowledge();
    if (knowledge === undefined) {
      return { kind: 'answer', answer: { code: DNS_CODE.serverFailure, records: [] } };
    }
    return knowledge.directory.decide(query.question, knowledge.viewOf(asker));
  }

  #answerOf(query: Query, answer: Answer, { bytes, cache, transport }: Asked & { bytes: Buffer }) {
    const { code, records } = answer;
    if (cache === undefined || records.length > DNS_CACHED_RECORDS_MAX) {
      return this.#write(query, answer, transport);
    }
    const turns = records.length === 0 ? [[]] : records.map((_, i) => turned(records, i));
    return cache.keep(
      bytes,
      turns.map((turn) => this.#write(query, { code, records: turn }, transport)),
    );
  }

  #write(query: Query, answer: Answer, transport: 'udp' | 'tcp'): Buffer {
    const udp = Math.min(Math.max(query.udpBytes ?? 0, DNS_UDP_BYTES), DNS_EDNS_BYTES);
    const bytes = transport === 'udp' ? udp : TCP_BYTES;
    return writeAnswer(query, answer, { bytes, ttlSeconds: DNS_TTL_SECONDS });
  }
}

/** The same list, beginning with another one. */
function turned<T>(list: readonly T[], first: number): readonly T[] {
  return [...list.slice(first), ...list.slice(0, first)];
}
