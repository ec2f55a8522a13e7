/** The executor as its users see it: its port, and the shapes that only it has. */
import type {
  ContainerSpec,
  ContainerStats,
  HealthcheckSpec,
  LayerProgress,
  LogChunk,
  NodePlugin,
  PathInfo,
  ProcessInfo,
  RegistryAuth,
  ResourceLimits,
} from '@swarmd/model';

/** One file to be seen in the container, read-only, on memory only. */
export interface ContainerFile {
  /** Absolute path in the container. */
  readonly path: string;
  readonly data: Uint8Array;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

export interface ContainerRequest {
  /** The container's id: 1 to 64 letters, digits, ".", "_" or "-". */
  readonly id: string;
  /** Name shown to people: service.slot.task. */
  readonly name: string;
  readonly spec: ContainerSpec;
  readonly limits: ResourceLimits;
  readonly files: readonly ContainerFile[];
  /** Path of the network namespace to join. */
  readonly networkNamespace: string;
  /** For /etc/hosts and /etc/resolv.conf, with what follows. */
  readonly hostname: string;
  /** With or without prefix length; the first ones come first in /etc/hosts. */
  readonly addresses: readonly string[];
  /** What its resolv.conf says: of what the task asks for, too. */
  readonly resolver: {
    readonly nameservers: readonly string[];
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  /** NAME=value pairs that the engine adds. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerExit {
  /** 128 + n for signal n. */
  readonly code: number;
  readonly oomKilled: boolean;
  /** Empty, or what went wrong with the engine itself ("monitor lost"). */
  readonly error: string;
}

export type ContainerPhase = 'created' | 'running' | 'exited';

export interface LogOptions {
  readonly follow: boolean;
  /** Lines from the end; undefined for all. */
  readonly tail?: number | undefined;
  /** Only what was printed then or later, and then or earlier. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Cursor of an earlier chunk: what comes behind it. `tail` then says nothing. */
  readonly after?: string | undefined;
}

export interface ExecRequest {
  /** Program and arguments; not a shell line. */
  readonly argv: readonly string[];
  readonly timeoutMs: number;
}

export interface ExecResult {
  readonly code: number;
  /** Standard output and error in the order they arrived, bounded. */
  readonly output: string;
  readonly timedOut: boolean;
}

/** Containers of this machine. All methods are idempotent by id, and safe after a crash. */
export interface Executor {
  /** Re-adopts what an earlier life left; removes what it had only half made. */
  restore(signal: AbortSignal): Promise<ReadonlyMap<string, ContainerPhase>>;
  /** Makes the image present. Errors say which registry said what. */
  pull(image: string, signal: AbortSignal, options?: PullOptions): Promise<void>;
  /** Creates the container so that `start` only has to let it go. Needs the image and the namespace. */
  prepare(request: ContainerRequest, signal: AbortSignal): Promise<void>;
  /** @returns the pid of the container's first process on this machine. */
  start(id: string, signal: AbortSignal): Promise<{ pid: number }>;
  /** Resolves when the container has exited, at once if it already has. */
  wait(id: string, signal: AbortSignal): Promise<ContainerExit>;
  /** Stop signal, then SIGKILL after the grace period. Resolves when it has exited. */
  stop(id: string, options: { graceMs: number; signal: AbortSignal }): Promise<void>;
  /** Kills if need be, and removes everything of the container. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogChunk>;
  /** What the container's log driver was told to give its lines: tag, labels, variables. */
  logAttributes(id: string): Readonly<Record<string, string>>;
  /** Runs a program in a running container, as its user and with its environment. */
  exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
  /**
   * Gives a running container these limits instead of those it has; 0 and what is absent: none.
   * @throws SwarmError `failed-precondition` when it does not run, or uses more memory than that.
   */
  update(id: string, limits: ResourceLimits): Promise<void>;
  /** How to tell that a prepared container is healthy: the spec's check, else the image's. */
  healthcheck(id: string): HealthcheckSpec | undefined;
  readonly workbench: Workbench;
  /** Log drivers, volume drivers and runtimes of this machine, by now. */
  plugins(): readonly NodePlugin[];
  readonly volumes: Volumes;
  readonly images: Images;
}

export interface PullOptions {
  /** Who asks registries and their mirrors, by host[:port]; undefined: nobody in particular. */
  readonly auth?: RegistryAuth | undefined;
}

/** Everything about an image of this machine. */
export interface ImageDetails extends ImageInfo {
  /** All its names. */
  readonly names: readonly string[];
  /** Its configuration as the image has it (OCI config.md): JSON. */
  readonly config: string;
  /** Blobs of its layers, lowest first. */
  readonly layers: readonly { readonly digest: string; readonly bytes: number }[];
}

/** What becomes of a root file system. */
export interface ImportOptions {
  /** The name it gets. */
  readonly reference: string;
  /** "config" of the image's configuration (OCI config.md): Cmd, Env and so on. */
  readonly config: object;
}

/** A named volume to be made or used. */
export interface VolumeRequest {
  readonly name: string;
  /** Empty: local. */
  readonly driver: string;
  /** local: type, device and o as for mount(8). */
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VolumeInfo extends VolumeRequest {
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Folder on this machine; empty for volumes of plugins. */
  readonly mountpoint: string;
  /** A container has it mounted. */
  readonly used: boolean;
}

export interface Volumes {
  /** Finds it or makes it. */
  create(request: VolumeRequest): Promise<VolumeInfo>;
  list(): Promise<readonly VolumeInfo[]>;
  /** @throws SwarmError `not-found`; `failed-precondition` while it is used. */
  remove(name: string): Promise<void>;
}

/** An image of this machine by one of its names. */
export interface ImageInfo {
  /** Canonical: registry/repository:tag or registry/repository@digest. */
  readonly reference: string;
  /** Of what the name stood for: an index or a manifest. */
  readonly digest: string;
  /** Digest of its configuration. */
  readonly id: string;
  /** Of its layers on disk, shared ones included. */
  readonly bytes: number;
  /** Milliseconds since the epoch; 0 when it is not known. */
  readonly pulledAt: number;
  readonly usedAt: number;
  /** A container of this machine was made of it. */
  readonly used: boolean;
}

export interface Images {
  list(): Promise<readonly ImageInfo[]>;
  /** @throws SwarmError `not-found`. */
  inspect(reference: string): Promise<ImageInfo>;
  /**
   * The reference with the digest that its tag stands for in its registry now; as it is when it has one.
   * @throws SwarmError `invalid-argument`, `not-found`, `permission-denied`, `unavailable`.
   */
  resolve(reference: string, signal: AbortSignal, options?: PullOptions): Promise<string>;
  /** The layers of a pull that is under way, lowest first; undefined while they are not known. */
  pullProgress(reference: string): readonly LayerProgress[] | undefined;
  /**
   * Asks a registry whether it knows the credentials for it.
   * @throws SwarmError `permission-denied` when not, `unavailable`.
   */
  checkAuth(registry: string, auth: RegistryAuth, signal: AbortSignal): Promise<void>;
  /** Until it is disposed the image is not removed, be it here or only on its way. */
  hold(reference: string): Disposable;
  /** @throws SwarmError `not-found`. */
  details(reference: string): Promise<ImageDetails>;
  /**
   * Sends an image to the registry of its name; tells after each layer which ones are there.
   * @throws SwarmError `not-found`, `permission-denied`, `unavailable`, `failed-precondition`.
   */
  push(
    reference: string,
    signal: AbortSignal,
    options?: PullOptions,
  ): AsyncIterable<readonly LayerProgress[]>;
  /** A tar archive that is an OCI layout and what Docker saves in one. */
  save(references: readonly string[]): AsyncIterable<Uint8Array>;
  /**
   * Images of an archive (OCI layout, docker save). @returns their names.
   * @throws SwarmError `data-loss`, `permission-denied` (unsafe), `resource-exhausted`.
   */
  load(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<readonly string[]>;
  /** A root file system as a tar archive becomes an image. @returns its name. */
  import(
    archive: AsyncIterable<Uint8Array>,
    options: ImportOptions,
    signal: AbortSignal,
  ): Promise<string>;
  /** Another name for an image. @throws SwarmError `not-found`. */
  tag(reference: string, target: string): Promise<void>;
  /**
   * Takes the name away; layers that no name needs any more go.
   * @returns bytes given back. @throws SwarmError `not-found`; `failed-precondition` while it is used.
   */
  remove(reference: string): Promise<number>;
  /** Removes the images that no container is made of, and was for `unusedForMs`. */
  prune(
    unusedForMs: number,
  ): Promise<{ readonly references: readonly string[]; readonly freedBytes: number }>;
}

/** How a session with a container begins. */
export type SessionStart =
  | {
      readonly kind: 'exec';
      /** Program and arguments; not a shell line. */
      readonly argv: readonly string[];
      readonly tty: boolean;
      /** False: its standard input is empty. */
      readonly stdin: boolean;
      /** NAME=value, besides the container's own. */
      readonly env: readonly string[];
      /** user[:group]; empty: the container's. */
      readonly user: string;
      /** Empty: the container's. */
      readonly dir: string;
      /** With every capability. */
      readonly privileged: boolean;
      /** Without input, output and terminal; the session ends, with 0, once it runs. */
      readonly detached?: boolean | undefined;
      /** Size of the terminal at first; 0: the terminal's default. */
      readonly rows: number;
      readonly columns: number;
    }
  /** What the first process prints from now on, and its standard input. */
  | { readonly kind: 'attach'; readonly stdin: boolean };

export type SessionInput =
  | { readonly kind: 'stdin'; readonly data: Uint8Array }
  | { readonly kind: 'stdin-end' }
  | { readonly kind: 'resize'; readonly rows: number; readonly columns: number }
  /** To the program; a name such as "SIGINT". */
  | { readonly kind: 'signal'; readonly name: string }
  /** Of who has attached: what was typed before is passed on, then the session ends without 'exit'. */
  | { readonly kind: 'leave' };

export type SessionEvent =
  | { readonly kind: 'started'; readonly tty: boolean }
  | {
      readonly kind: 'output';
      readonly stream: 'stdout' | 'stderr';
      readonly data: Uint8Array;
    }
  /** 128 + n for signal n. */
  | { readonly kind: 'exit'; readonly code: number };

/** What people do with running containers. Nothing of it outlives the executor. */
export interface Workbench {
  /**
   * Runs a program in the container, or attaches to its first process. Ends after 'exit'; leaving the
   * loop ends the program, not the container. Output is only taken as fast as it is consumed.
   */
  session(
    id: string,
    request: { readonly start: SessionStart; readonly input: AsyncIterable<SessionInput> },
    signal: AbortSignal,
  ): AsyncIterable<SessionEvent>;
  top(id: string): Promise<readonly ProcessInfo[]>;
  stats(id: string): Promise<ContainerStats>;
  /** Stops all its processes in their tracks; stopping or removing the container lets them go. */
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  isPaused(id: string): Promise<boolean>;
  /** To its first process; a name such as "SIGHUP". */
  signal(id: string, name: string): Promise<void>;
  /** @throws SwarmError `not-found`. */
  pathInfo(id: string, path: string): Promise<PathInfo>;
  /** A tar archive with one tree: the path's last name and what is below it. */
  copyOut(id: string, path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Unpacks a tar archive into an existing directory of the container. */
  copyIn(
    id: string,
    request: { readonly directory: string; readonly archive: AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<void>;
}
