/** swarm.v1.Engine: containers on their nodes. Agents serve it to managers, managers to users. */
import type {
  ContainerStats,
  HealthReport,
  LayerProgress,
  NetworkFinding,
  NetworkId,
  NodeId,
  PathInfo,
  ProcessInfo,
  ServiceId,
  TaskId,
} from '@swarmd/model';

import type { Call } from './call.ts';

export type SessionRequest =
  /** First message: starts a program, or attaches. */
  | {
      readonly kind: 'exec';
      readonly taskId: TaskId;
      /** Program and arguments; not a shell line. */
      readonly argv: readonly string[];
      readonly tty: boolean;
      readonly stdin: boolean;
      /** NAME=value, besides the container's own. */
      readonly env: readonly string[];
      /** user[:group]; empty: the container's. */
      readonly user: string;
      /** Empty: the container's. */
      readonly dir: string;
      readonly privileged: boolean;
      /** Size of the terminal at first; 0: its default. */
      readonly rows: number;
      readonly columns: number;
      /** Without input, output and terminal; the session ends, with 0, once it runs. */
      readonly detached?: boolean | undefined;
    }
  | { readonly kind: 'attach'; readonly taskId: TaskId; readonly stdin: boolean }
  | { readonly kind: 'stdin'; readonly data: Uint8Array }
  | { readonly kind: 'stdin-end' }
  | { readonly kind: 'resize'; readonly rows: number; readonly columns: number }
  | { readonly kind: 'signal'; readonly name: string }
  /** Of who has attached: what was typed before is passed on, then the session ends without 'exit'. */
  | { readonly kind: 'leave' };

export type SessionResponse =
  | { readonly kind: 'started'; readonly tty: boolean }
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }
  /** The last message; 128 + n for signal n. */
  | { readonly kind: 'exit'; readonly code: number };

export interface ContainerDetails {
  readonly paused: boolean;
  /** Undefined without a health check. */
  readonly health?: HealthReport;
}

export type CopyInRequest =
  | { readonly kind: 'start'; readonly taskId: TaskId; readonly directory: string }
  | { readonly kind: 'data'; readonly data: Uint8Array };

export interface Volume {
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number;
  /** Folder on the node; empty for volumes of plugins. */
  readonly mountpoint: string;
  readonly used: boolean;
}

export interface ImageDetails {
  readonly image: Image;
  readonly names: string[];
  /** As the image has it: JSON. */
  readonly config: string;
  /** Lowest first. */
  readonly layers: { readonly digest: string; readonly bytes: number }[];
}

export type LoadRequest =
  | {
      readonly kind: 'start';
      readonly nodeId: NodeId;
      /** The archive is a root file system that gets this name; empty: it is an archive of images. */
      readonly importAs: string;
      /** With `importAs`: "config" of the image's configuration as JSON; empty: nothing. */
      readonly config: string;
    }
  | { readonly kind: 'data'; readonly data: Uint8Array };

export type PullEvent =
  | { readonly kind: 'progress'; readonly layers: LayerProgress[] }
  | ({ readonly kind: 'image' } & Image);

export interface Image {
  readonly reference: string;
  /** Of what the name stood for: an index or a manifest. */
  readonly digest: string;
  /** Digest of its configuration. */
  readonly id: string;
  /** Of its layers on disk, shared ones included. */
  readonly bytes: number;
  readonly pulledAt: number;
  readonly usedAt: number;
  readonly used: boolean;
}

interface OfNode {
  readonly nodeId: NodeId;
}

interface OfImage extends OfNode {
  readonly reference: string;
  /** Credentials, as in `parseRegistryAuth` of the model. */
  readonly registryAuth?: Uint8Array;
}

interface OfTask {
  readonly taskId: TaskId;
}

export interface Engine {
  /** Cancelling the call ends the program, not the task. */
  session(messages: AsyncIterable<SessionRequest>, call: Call): AsyncIterable<SessionResponse>;
  top(request: OfTask, call: Call): Promise<ProcessInfo[]>;
  /** `intervalMs` 0: one look; else for as long as the task runs. */
  stats(request: OfTask & { intervalMs: number }, call: Call): AsyncIterable<ContainerStats>;
  pause(request: OfTask, call: Call): Promise<void>;
  unpause(request: OfTask, call: Call): Promise<void>;
  signal(request: OfTask & { name: string }, call: Call): Promise<void>;
  inspectContainer(request: OfTask, call: Call): Promise<ContainerDetails>;
  pathInfo(request: OfTask & { path: string }, call: Call): Promise<PathInfo>;
  copyOut(request: OfTask & { path: string }, call: Call): AsyncIterable<Uint8Array>;
  createVolume(
    request: OfNode & Pick<Volume, 'name' | 'driver' | 'options' | 'labels'>,
    call: Call,
  ): Promise<Volume>;
  listVolumes(request: OfNode, call: Call): Promise<Volume[]>;
  removeVolume(request: OfNode & { name: string }, call: Call): Promise<void>;
  /** What a node's network has for one network or service, and should have. The other id is ''. */
  explainNetwork(
    request: OfNode & { networkId: NetworkId | ''; serviceId: ServiceId | '' },
    call: Call,
  ): Promise<NetworkFinding[]>;
  listImages(request: OfNode, call: Call): Promise<Image[]>;
  /** Ends with the image. */
  pullImage(request: OfImage, call: Call): AsyncIterable<PullEvent>;
  /** Fails with `permission-denied` when the registry does not know the credentials. */
  checkRegistryAuth(
    request: OfNode & { registry: string; registryAuth: Uint8Array },
    call: Call,
  ): Promise<void>;
  /** Answers the reference with the digest that its registry says, asked by the node. */
  resolveImage(request: OfImage, call: Call): Promise<{ reference: string }>;
  inspectImage(request: OfNode & { reference: string }, call: Call): Promise<ImageDetails>;
  /** Done when it ends. */
  pushImage(request: OfImage, call: Call): AsyncIterable<{ layers: LayerProgress[] }>;
  saveImages(
    request: OfNode & { references: readonly string[] },
    call: Call,
  ): AsyncIterable<Uint8Array>;
  /** Answers once, when everything is in its place. */
  loadImages(
    messages: AsyncIterable<LoadRequest>,
    call: Call,
  ): AsyncIterable<{ references: string[] }>;
  tagImage(request: OfNode & { reference: string; target: string }, call: Call): Promise<void>;
  removeImage(request: OfNode & { reference: string }, call: Call): Promise<{ freedBytes: number }>;
  pruneImages(
    request: OfNode & { unusedForMs: number },
    call: Call,
  ): Promise<{ references: string[]; freedBytes: number }>;
  /** Answers once, when everything is in its place. */
  copyIn(messages: AsyncIterable<CopyInRequest>, call: Call): AsyncIterable<object>;
}
