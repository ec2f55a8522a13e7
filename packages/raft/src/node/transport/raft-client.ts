/** A connection to one peer's Raft service, typed by hand where proto-loader gives `any`. */
import type {
  ChannelOptions,
  ClientReadableStream,
  ClientWritableStream,
  ServiceClientConstructor,
  ServiceError,
} from '@grpc/grpc-js';

import { GRPC_MESSAGE_MAX_BYTES, KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS } from '../limits.ts';
import type { RaftTls } from '../types.ts';
import { clientCredentials } from './credentials.ts';
import type { WireDelivery, WireFetchRequest, WireSnapshotFrame } from './wire.ts';

/** Frames as they come; throws when the stream breaks. */
export interface SnapshotStream extends AsyncIterable<WireSnapshotFrame> {
  cancel(): void;
}

export interface RaftClient {
  /** `ended` is called once: with the failure, or with null when the peer ended the stream. */
  deliver(ended: (error: ServiceError | null) => void): ClientWritableStream<WireDelivery>;
  fetchSnapshot(request: WireFetchRequest): SnapshotStream;
  close(): void;
}

/** Any name will do: certificates are checked for role, cluster and node instead. */
const SERVER_NAME = 'raft.swarm';
/** Node's default of 64 KiB would halve the speed of a snapshot on a link of some milliseconds. */
const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.ssl_target_name_override': SERVER_NAME,
  'grpc.default_authority': SERVER_NAME,
  'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.max_send_message_length': GRPC_MESSAGE_MAX_BYTES,
  'grpc.max_receive_message_length': GRPC_MESSAGE_MAX_BYTES,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
};

export function connectToPeer(
  service: ServiceClientConstructor,
  peer: { address: string; nodeId: string },
  options: { tls: RaftTls; clusterId: string },
): RaftClient {
  const expected = {
    clusterId: options.clusterId,
    nodeId: peer.nodeId === '' ? undefined : peer.nodeId,
  };
  const credentials = clientCredentials(options.tls, expected);
  const client = new service(peer.address, credentials, CHANNEL_OPTIONS);
  type Deliver = (
    callback: (error: ServiceError | null) => void,
  ) => ClientWritableStream<WireDelivery>;
  type Fetch = (request: WireFetchRequest) => ClientReadableStream<WireSnapshotFrame>;
  const deliver = client['Deliver'] as Deliver;
  const fetch = client['FetchSnapshot'] as Fetch;
  return {
    deliver: (ended) => deliver.call(client, ended),
    fetchSnapshot: (request) => {
      const stream = fetch.call(client, request);
      // What goes wrong comes through the iteration; a cancelled stream reports it here once more.
      stream.on('error', () => undefined);
      return stream;
    },
    close: () => client.close(),
  };
}
