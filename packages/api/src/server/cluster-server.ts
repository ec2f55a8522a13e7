/**
 * The server on a TCP port with mutual TLS. One port serves nodes, whose certificate must be valid,
 * and joiners, who have none yet and may call only what is open to anyone. The TLS side is ours, so
 * that it can ask for a certificate without insisting; gRPC gets the connections that pass.
 */
import type { AddressInfo } from 'node:net';
import {
  createServer,
  type DetailedPeerCertificate,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';

import { errorMessage, silentLogger, SwarmError, type Logger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { identityFromSubject } from '@swarmd/pki';

import { HANDSHAKE_TIMEOUT_MS, JOINER_CONNECTION_MS, JOINER_CONNECTIONS_MAX } from '../limits.ts';
import type { Connection } from './admit.ts';
import { GrpcHost, type ApiServer } from './api-server.ts';
import type { GrpcCall } from './handlers.ts';

export interface ServerTls {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Root that peers' certificates must descend from; also sent, so that joiners can check it. */
  readonly caPem: string;
  readonly clusterId: string;
}

export interface ClusterServer extends ApiServer {
  /** The port in use, also when 0 was asked for. */
  readonly port: number;
  /** Takes the credentials anew, for connections made from now on. */
  refreshTls(): void;
}

/**
 * Add services with `serveX`, before or after.
 * @throws SwarmError `failed-precondition` when the address cannot be listened on.
 */
export async function createClusterServer(options: {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** The credentials now: asked at the start and by `refreshTls`. */
  readonly tls: () => ServerTls;
  readonly logger?: Logger;
}): Promise<ClusterServer> {
  const { host, port, tls, logger = silentLogger } = options;
  const server = new TlsHost(tls, logger);
  try {
    await server.start(host, port);
  } catch (cause) {
    await server[Symbol.asyncDispose]();
    const message = `cannot listen on ${host}:${port}: ${errorMessage(cause)}`;
    throw new SwarmError('failed-precondition', message, { cause });
  }
  return server;
}

class TlsHost extends GrpcHost implements ClusterServer {
  readonly #tls: () => ServerTls;
  readonly #listener: Server;
  #joiners = 0;

  constructor(tls: () => ServerTls, logger: Logger) {
    super(
      logger,
      connectionOf(() => tls().clusterId),
    );
    this.#tls = tls;
    this.#listener = createServer({
      ...secureContext(tls()),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#listener.on('secureConnection', (socket) => this.#check(socket));
    this.#listener.on('tlsClientError', (err, socket) => {
      logger.debug({ err }, 'TLS handshake failed');
      socket.destroy();
    });
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  start(host: string, port: number): Promise<void> {
    return this.listen(this.#listener, { host, port });
  }

  refreshTls(): void {
    this.#listener.setSecureContext(secureContext(this.#tls()));
  }

  #check(socket: TLSSocket): void {
    const guest = socket.getPeerX509Certificate() === undefined;
    const reason = guest ? this.#refuseGuest(socket) : refuseMember(socket);
    if (reason === undefined) {
      rememberCertificate(socket);
      this.accept(socket, { guest });
      return;
    }
    this.logger.warn({ peer: socket.remoteAddress, reason }, 'connection refused');
    socket.on('error', () => undefined);
    socket.destroy();
  }

  /** Why not to talk to a joiner; undefined: it may stay, for a while. */
  #refuseGuest(socket: TLSSocket): string | undefined {
    if (this.#joiners >= JOINER_CONNECTIONS_MAX) return 'too many joiners at once';
    this.#joiners += 1;
    const time = systemClock.after(JOINER_CONNECTION_MS, () => socket.destroy());
    socket.on('close', () => {
      time.cancel();
      this.#joiners -= 1;
    });
    return undefined;
  }
}

/** gRPC asks with every call, and each answer is made anew; TLS 1.3 never changes it in a connection. */
function rememberCertificate(socket: TLSSocket): void {
  const certificate = socket.getPeerCertificate();
  socket.getPeerCertificate = () => certificate as DetailedPeerCertificate;
}

/** A certificate that is presented must be good. */
function refuseMember(socket: TLSSocket): string | undefined {
  return socket.authorized ? undefined : String(socket.authorizationError);
}

/** gRPC reports a certificate only when TLS has verified it. */
function connectionOf(clusterId: () => string): (call: GrpcCall) => Connection {
  return (call) => {
    const certificate = call.getAuthContext().sslPeerCertificate;
    const peer = certificate === undefined ? undefined : identityFromSubject(certificate.subject);
    const known = peer !== undefined && peer.clusterId === clusterId();
    return known ? { kind: 'cluster', peer } : { kind: 'cluster' };
  };
}

function secureContext(tls: ServerTls): SecureContextOptions {
  return {
    cert: `${tls.certificatePem}\n${tls.caPem}`,
    key: tls.keyPem,
    ca: tls.caPem,
    minVersion: 'TLSv1.3',
  };
}
