/** What servers on local sockets and on the cluster port share: services, handlers, an orderly end. */
import { Server, type UntypedServiceImplementation, type ServiceDefinition } from '@grpc/grpc-js';
import { SwarmError, type Logger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import {
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_MAX_BYTES,
  SHUTDOWN_GRACE_MS,
} from '../limits.ts';
import { bind, rawDefinition, type Access, type Service } from '../service/definition.ts';
import { toStatus } from '../status.ts';
import { admit, type Connection } from './admit.ts';
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
    this.services.push(`swarm.v1.${service.name}`);
  }

  /** A service of another library, behind the same authorization. */
  addForeign(
    definition: ServiceDefinition,
    implementation: UntypedServiceImplementation,
    access: Access,
  ): void {
    const guarded: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(definition)) {
      const handler = implementation[name] ?? implementation[method.originalName ?? name];
      if (handler === undefined) continue;
      guarded[name] = this.#guard(method, access, handler.bind(implementation));
    }
    this.server.addService(definition, guarded);
    this.services.push(Object.values(definition)[0]?.path.split('/')[1] ?? '');
  }

  #guard(
    method: { readonly path: string; readonly responseStream: boolean },
    access: Access,
    handler: UntypedServiceImplementation[string],
  ): UntypedServiceImplementation[string] {
    const run = handler as (call: GrpcCall, callback?: (error: unknown) => void) => void;
    const guarded = (call: GrpcCall, callback?: (error: unknown) => void): void => {
      try {
        admit(this.connectionOf(call), { path: method.path, access }, call.metadata);
      } catch (error) {
        const status = toStatus(error);
        if (callback === undefined) call.emit('error', status);
        else callback(status);
        return;
      }
      run(call, callback);
    };
    return guarded as UntypedServiceImplementation[string];
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
