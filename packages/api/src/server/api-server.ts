/** What servers on local sockets and on the cluster port share: services, handlers, an orderly end. */
import { Server } from '@grpc/grpc-js';
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
  readonly #resources = new AsyncDisposableStack();
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
  }

  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Listeners and the like, closed before calls are ended. */
  own(resource: AsyncDisposable): void {
    this.#resources.use(resource);
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

  async #dispose(): Promise<void> {
    await this.#resources.disposeAsync();
    this.#stop.abort(new SwarmError('unavailable', 'the server is stopping'));
    await new Promise<void>((resolve) => {
      const cut = systemClock.after(SHUTDOWN_GRACE_MS, () => {
        this.server.forceShutdown();
        resolve();
      });
      this.server.tryShutdown(() => {
        cut.cancel();
        resolve();
      });
    });
  }
}
