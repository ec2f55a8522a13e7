/** What servers on local sockets and on the cluster port share: services, handlers, an orderly end. */
import type { ListenOptions, Server as Listener, Socket } from 'node:net';

import { Server, ServerCredentials, type ConnectionInjector } from '@grpc/grpc-js';
import { SwarmError, type Logger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import {
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_MAX_BYTES,
  SHUTDOWN_GRACE_MS,
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
  readonly server: Server;
  readonly services: string[] = [];
  readonly connectionOf: (call: GrpcCall) => Connection;
  readonly #stop = new AbortController();
  readonly #injector: ConnectionInjector;
  readonly #sockets = new Set<Socket>();
  #listener: Listener | undefined;
  #disposed: Promise<void> | undefined;

  constructor(logger: Logger, connectionOf: (call: GrpcCall) => Connection) {
    this.logger = logger;
    this.connectionOf = connectionOf;
    this.server = new Server({
      'grpc.max_receive_message_length': MESSAGE_MAX_BYTES,
      'grpc.max_send_message_length': MESSAGE_MAX_BYTES,
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.enable_channelz': 0,
    });
    // TLS, where there is any, is done before: gRPC gets plain streams.
    this.#injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts to listen; what the listener accepts is to be given to `accept`. */
  async listen(listener: Listener, at: ListenOptions): Promise<void> {
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(at, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    listener.on('error', (err) => this.logger.error({ err }, 'listener failed'));
  }

  /** Serves a connection that is ready to speak HTTP/2. */
  accept(socket: Socket): void {
    socket.on('error', (err) => this.logger.debug({ err }, 'connection failed'));
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    this.#injector.injectConnection(socket);
  }

  add<Contract>(service: Service<Contract>, implementation: Contract): void {
    const methods = bind(service);
    const definitions = Object.fromEntries(methods.map((m) => [m.name, rawDefinition(m)]));
    const handlers = Object.fromEntries(
      methods.map((m) => [m.name, handlerFor(m, implementation as Implementation, this)]),
    );
    this.server.addService(definitions, handlers);
    this.services.push(fullName(service.name));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  /** No new connections; calls are told to end, and are cut when they do not. */
  async #dispose(): Promise<void> {
    this.#listener?.close();
    this.#stop.abort(new SwarmError('unavailable', 'the server is stopping'));
    await new Promise<void>((resolve) => {
      const cut = systemClock.after(SHUTDOWN_GRACE_MS, () => {
        this.server.forceShutdown();
        // gRPC leaves the sockets half open, and the clients waiting.
        for (const socket of this.#sockets) socket.destroy();
        resolve();
      });
      this.server.tryShutdown(() => {
        cut.cancel();
        resolve();
      });
    });
  }
}
