/** What servers on local sockets and on the cluster port share: services, handlers, an orderly end. */
import type { ListenOptions, Server as Listener, Socket } from 'node:net';

import { Server, ServerCredentials, type ConnectionInjector } from '@grpc/grpc-js';
import { SwarmError, type Logger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import {
  GUEST_MESSAGE_MAX_BYTES,
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_MAX_BYTES,
  SHUTDOWN_GRACE_MS,
  UNARY_GRACE_MS,
} from '../limits.ts';
import { fullName } from '../proto-root.ts';
import { bind, rawDefinition, type Service } from '../service/definition.ts';
import type { Connection } from './admit.ts';
import { handlerFor, type GrpcCall, type HandlerHost, type Implementation } from './handlers.ts';

/** A server that `serveX` functions add services to. Disposing it ends its calls and connections. */
export interface ApiServer extends AsyncDisposable {
  /** Names of the services it has, e.g. "swarm.v1.Control". */
  readonly services: readonly string[];
}

export class GrpcHost implements ApiServer, HandlerHost {
  readonly logger: Logger;
  readonly services: string[] = [];
  readonly connectionOf: (call: GrpcCall) => Connection;
  readonly #stop = new AbortController();
  readonly #cut = new AbortController();
  readonly #members = new GrpcSide(MESSAGE_MAX_BYTES);
  readonly #guests = new GrpcSide(GUEST_MESSAGE_MAX_BYTES);
  readonly #sockets = new Set<Socket>();
  #listener: Listener | undefined;
  #disposed: Promise<void> | undefined;

  constructor(logger: Logger, connectionOf: (call: GrpcCall) => Connection) {
    this.logger = logger;
    this.connectionOf = connectionOf;
  }

  get #sides(): readonly GrpcSide[] {
    return [this.#members, this.#guests];
  }

  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  get cutting(): AbortSignal {
    return this.#cut.signal;
  }

  /** Starts to listen; what the listener accepts is to be given to `accept`. */
  async listen(listener: Listener, at: ListenOptions): Promise<void> {
    this.#listener = listener;
    listener.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(at, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    listener.on('error', (err) => this.logger.error({ err }, 'listener failed'));
  }

  /**
   * Serves a connection that is ready to speak HTTP/2. Guests have proved nothing: what they send is
   * held in memory before anybody can refuse it, so it must be little.
   */
  accept(socket: Socket, { guest = false }: { readonly guest?: boolean } = {}): void {
    socket.on('error', (err) => this.logger.debug({ err }, 'connection failed'));
    if (this.stopping.aborted) socket.destroy();
    else (guest ? this.#guests : this.#members).injector.injectConnection(socket);
  }

  add<Contract>(service: Service<Contract>, implementation: Contract): void {
    const methods = bind(service);
    const definitions = Object.fromEntries(methods.map((m) => [m.name, rawDefinition(m)]));
    const handlers = Object.fromEntries(
      methods.map((m) => [m.name, handlerFor(m, implementation as Implementation, this)]),
    );
    for (const { server } of this.#sides) server.addService(definitions, handlers);
    this.services.push(fullName(service.name));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  /**
   * No new connections; streams are told to end, and are cut when they do not. Other calls may finish:
   * whoever makes a manager a worker by that very manager wants to hear that it is done.
   */
  async #dispose(): Promise<void> {
    this.#listener?.close();
    const reason = new SwarmError('unavailable', 'the server is stopping');
    this.#stop.abort(reason);
    const tell = systemClock.after(UNARY_GRACE_MS, () => this.#cut.abort(reason));
    const cut = systemClock.after(SHUTDOWN_GRACE_MS, () => {
      for (const side of this.#sides) side.server.forceShutdown();
      // gRPC leaves the sockets of calls that it has cut half open, and the clients waiting.
      for (const socket of this.#sockets) socket.destroy();
    });
    // gRPC holds its connections for closed while their last answers are still on their way.
    await Promise.all(this.#sides.map((side) => side.stop()));
    await Promise.all([...this.#sockets].map((socket) => closed(socket)));
    tell.cancel();
    cut.cancel();
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** A gRPC server that is given its connections. */
class GrpcSide {
  readonly server: Server;
  readonly injector: ConnectionInjector;

  constructor(messageMaxBytes: number) {
    this.server = new Server({
      'grpc.max_receive_message_length': messageMaxBytes,
      'grpc.max_send_message_length': MESSAGE_MAX_BYTES,
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.enable_channelz': 0,
    });
    // TLS, where there is any, is done before: gRPC gets plain streams.
    this.injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Its connections close when their calls have ended. Resolves before that. */
  stop(): Promise<void> {
    return new Promise((resolve) => this.server.tryShutdown(() => resolve()));
  }
}
