/** Where everything of one container is. */
import { join } from 'node:path';

export interface ExecutorFolders {
  /** Survives a boot: images, roots, volumes, logs, records. */
  readonly stateDir: string;
  /** Best on a tmpfs: bundles, runtime state, exit files. */
  readonly runDir: string;
}

export class ContainerPaths {
  /** Root of what survives a boot: record and overlay. */
  readonly state: string;
  readonly record: string;
  readonly merged: string;
  readonly upper: string;
  readonly work: string;
  /** Anonymous volumes, removed with the container. */
  readonly volumes: string;
  readonly logDir: string;
  /** conmon's. */
  readonly log: string;
  /** How far its log has been passed on. */
  readonly shipped: string;
  /** OCI bundle; also holds the files conmon makes. */
  readonly bundle: string;
  /** A tmpfs with secrets and configs. */
  readonly files: string;
  /** Mount points of its image's layers while its root is made; of remapped containers. */
  readonly mapped: string;
  readonly persist: string;
  readonly exit: string;
  /** What lies on the way to root and bundle. */
  readonly through: readonly string[];
  readonly #id: string;

  constructor(folders: ExecutorFolders, id: string) {
    this.#id = id;
    this.state = join(folders.stateDir, 'containers', id);
    this.record = join(this.state, 'record.json');
    this.merged = join(this.state, 'merged');
    this.upper = join(this.state, 'upper');
    this.work = join(this.state, 'work');
    this.volumes = join(this.state, 'volumes');
    this.logDir = join(folders.stateDir, 'logs', id);
    this.log = join(this.logDir, 'log');
    this.shipped = join(this.logDir, 'shipped');
    this.bundle = join(folders.runDir, 'b', id);
    this.files = join(this.bundle, 'files');
    this.mapped = join(this.bundle, 'mapped');
    this.persist = join(this.bundle, 'persist');
    this.exit = join(folders.runDir, 'exits', id);
    this.through = [
      folders.stateDir,
      join(folders.stateDir, 'containers'),
      this.state,
      folders.runDir,
      join(folders.runDir, 'b'),
      this.bundle,
    ];
  }

  /** Where a log's driver has files of its own; Docker's name for json-file. */
  ownLog(driver: string): string {
    const base = driver === 'json-file' ? `${this.#id}-json.log` : 'local.log';
    return join(this.logDir, base);
  }
}
