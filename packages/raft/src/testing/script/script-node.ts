/** One member in a script's world: a core, a log in memory, and its storage threads' work. */
import { MemoryLog } from '../../core/memory-log.ts';
import { EMPTY_CONF_STATE } from '../../core/membership.ts';
import { RaftCore } from '../../core/raft-core.ts';
import { decodeConfChange } from '../../core/conf-change-codec.ts';
import type {
  Entry,
  HardState,
  LogView,
  Message,
  RaftConfig,
  Ready,
  SnapshotMeta,
  StoredNotice,
} from '../../core/types.ts';

export interface AppendWork {
  readonly hard?: HardState;
  readonly entries: readonly Entry[];
  readonly snapshot?: SnapshotMeta;
  readonly responses: readonly (Message | StoredNotice)[];
}

/** A Ready with what etcd's rules say of its sync, which leave snapshots out. */
export interface ScriptReady {
  readonly ready: Ready;
  readonly mustSync: boolean;
}

const ZERO: HardState = { term: 0, vote: 0, commit: 0 };

export class ScriptNode {
  readonly config: RaftConfig;
  /** Writes and applies take time: they are done by process-append-thread and -apply-thread. */
  readonly async: boolean;
  readonly core: RaftCore;
  readonly log: MemoryLog;
  readonly appendWork: AppendWork[] = [];
  readonly applyWork: (readonly Entry[])[] = [];
  /** The state machine: a snapshot after every entry applied. */
  readonly #history: SnapshotMeta[];
  #hard: HardState = ZERO;
  #peeked: Ready | null = null;

  constructor(options: { config: RaftConfig; async: boolean; snapshot?: SnapshotMeta }) {
    const { config, snapshot } = options;
    this.config = config;
    this.async = options.async;
    this.log = new MemoryLog(snapshot ? { snapshot } : {});
    this.#history = snapshot ? [snapshot] : [];
    const { log } = this;
    const view: LogView = {
      first: () => log.first(),
      last: () => log.last(),
      term: (index) => log.term(index),
      entries: (low, high, maxBytes) => log.entries(low, high, maxBytes),
      snapshot: () => this.snapshot(),
    };
    this.core = new RaftCore({
      config,
      random: { next: () => 0.5 },
      log: view,
      hard: { ...ZERO, commit: config.applied },
      conf: snapshot?.confState ?? EMPTY_CONF_STATE,
    });
  }

  snapshot(): SnapshotMeta | undefined {
    return this.#history.at(-1);
  }

  /** Is there anything to do? Looking takes the Ready from the core, `takeReady` hands it out. */
  hasReady(): boolean {
    this.#peeked ??= this.core.ready();
    return this.#peeked !== null;
  }

  takeReady(): ScriptReady | null {
    if (!this.hasReady()) return null;
    const ready = this.#peeked;
    this.#peeked = null;
    if (!ready) return null;
    const { hard = this.#hard, append } = ready;
    const promise = hard.term !== this.#hard.term || hard.vote !== this.#hard.vote;
    this.#hard = hard;
    return { ready, mustSync: append.length > 0 || promise };
  }

  write(work: Pick<AppendWork, 'entries' | 'snapshot'>): void {
    if (work.snapshot) this.log.install(work.snapshot);
    this.log.append(work.entries);
  }

  apply(entries: readonly Entry[]): void {
    for (const { index, term, kind, data } of entries) {
      if (kind !== 'normal') {
        const change = decodeConfChange({ kind, data });
        this.core.step({ kind: 'applyConfChange', index, change });
      }
      const confState =
        kind === 'normal'
          ? (this.snapshot()?.confState ?? EMPTY_CONF_STATE)
          : this.core.confState();
      this.#history.push({ index, term, confState });
    }
  }
}
