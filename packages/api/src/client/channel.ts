/**
 * A connection to one server: host:port with mutual TLS, or a local socket. It connects when first
 * used and again whenever it was lost; calls made while there is no connection fail as `unavailable`.
 */
import { ChannelCredentials, Client, connectivityState, type ClientOptions } from '@grpc/grpc-js';
import { SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import type { NodeRole } from '@swarmd/model';
import { identityFromSubject } from '@swarmd/pki';

import { unlessAborted } from '../abort.ts';
import {
  CONNECT_TIMEOUT_MS,
  FLOW_CONTROL_WINDOW_BYTES,
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_MAX_BYTES,
  RECONNECT_MAX_MS,
  RECONNECT_MIN_MS,
} from '../limits.ts';

export interface ClientTls {
  /** Root that the server's certificate must descend from. */
  readonly caPem: string;
  /** Our own certificate and its key; joiners have none. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
}

interface TlsChannelOptions {
  /** host:port */
  readonly address: string;
  /** Asked before every call: a new object means new credentials, and a new connection with them. */
  readonly tls: () => ClientTls;
  /** Role the server's certificate must carry; any when left out. */
  readonly serverRole?: NodeRole;
  /** Cluster the server's certificate must name; any that `caPem` vouches for when left out. */
  readonly clusterId?: string;
  /** Node the server must be. */
  readonly serverNodeId?: string;
}

export type ChannelOptions = { readonly socketPath: string } | TlsChannelOptions;

export interface Channel extends Disposable {
  /** host:port or the socket's path, for messages. */
  readonly address: string;
  /** The gRPC client with the current credentials. */
  client(): Client;
}

const OPTIONS: ClientOptions = {
  'grpc.max_receive_message_length': MESSAGE_MAX_BYTES,
  'grpc.max_send_message_length': MESSAGE_MAX_BYTES,
  'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
  'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
  'grpc.min_reconnect_backoff_ms': RECONNECT_MIN_MS,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
};

/** A name for TLS to ask for, since IP addresses are not allowed there; nobody looks at it. */
const TLS_OPTIONS: ClientOptions = { ...OPTIONS, 'grpc.ssl_target_name_override': 'swarm-node' };

/**
 * Waits while a connection is being made. Resolves also when that has failed: the call then fails at
 * once, and says why.
 * @throws SwarmError `unavailable` when nothing has answered in time: certainly nothing was sent.
 */
export async function connected(channel: Channel, signal: AbortSignal): Promise<void> {
  const grpc = channel.client().getChannel();
  const deadline = systemClock.now() + CONNECT_TIMEOUT_MS;
  for (;;) {
    const state = grpc.getConnectivityState(true);
    if (state !== connectivityState.CONNECTING && state !== connectivityState.IDLE) return;
    if (!(await unlessAborted(changed(grpc, state, deadline), signal))) {
      const message = `${channel.address} has not answered in ${CONNECT_TIMEOUT_MS} ms`;
      throw new SwarmError('unavailable', message);
    }
  }
}

/** False when the state is still the same at the deadline. */
function changed(
  grpc: ReturnType<Client['getChannel']>,
  state: connectivityState,
  deadline: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    grpc.watchConnectivityState(state, deadline, (error) => resolve(error === undefined));
  });
}

export function connect(options: ChannelOptions): Channel {
  return 'socketPath' in options ? new LocalChannel(options.socketPath) : new TlsChannel(options);
}

class LocalChannel implements Channel {
  readonly address: string;
  readonly #client: Client;

  constructor(socketPath: string) {
    this.address = socketPath;
    this.#client = new Client(`unix:${socketPath}`, ChannelCredentials.createInsecure(), OPTIONS);
  }

  client(): Client {
    return this.#client;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

class TlsChannel implements Channel {
  readonly address: string;
  readonly #options: TlsChannelOptions;
  #tls: ClientTls | undefined;
  #client: Client | undefined;
  #disposed = false;

  constructor(options: TlsChannelOptions) {
    this.address = options.address;
    this.#options = options;
  }

  client(): Client {
    if (this.#disposed)
      throw new SwarmError('cancelled', `connection to ${this.address} is closed`);
    const tls = this.#options.tls();
    if (this.#client === undefined || tls !== this.#tls) {
      // Calls under way go on over the old connection until they end.
      this.#client?.close();
      this.#client = new Client(this.address, credentials(tls, this.#options), TLS_OPTIONS);
      this.#tls = tls;
    }
    return this.#client;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#client?.close();
  }
}

function credentials(tls: ClientTls, options: TlsChannelOptions): ChannelCredentials {
  const own =
    tls.keyPem === undefined || tls.certificatePem === undefined
      ? [null, null]
      : [Buffer.from(tls.keyPem), Buffer.from(tls.certificatePem)];
  const [key, chain] = own as [Buffer | null, Buffer | null];
  return ChannelCredentials.createSsl(Buffer.from(tls.caPem), key, chain, {
    // Certificates name nodes, not hosts: what counts is the cluster's root and the role.
    checkServerIdentity: (_host, certificate) => mismatch(certificate.subject, options),
  });
}

/** Why this is not the server that is wanted. */
function mismatch(subject: object, wanted: TlsChannelOptions): SwarmError | undefined {
  const refuse = (why: string): SwarmError =>
    new SwarmError('permission-denied', `${wanted.address} answers with a certificate ${why}`);
  const identity = identityFromSubject(subject);
  if (identity === undefined) return refuse('that names no node of a cluster');
  if (wanted.clusterId !== undefined && identity.clusterId !== wanted.clusterId) {
    return refuse(`of cluster ${identity.clusterId}, not ${wanted.clusterId}`);
  }
  if (wanted.serverRole !== undefined && identity.role !== wanted.serverRole) {
    return refuse(`of a ${identity.role}, not of a ${wanted.serverRole}`);
  }
  if (wanted.serverNodeId !== undefined && identity.nodeId !== wanted.serverNodeId) {
    return refuse(`of node ${identity.nodeId}, not ${wanted.serverNodeId}`);
  }
  return undefined;
}
