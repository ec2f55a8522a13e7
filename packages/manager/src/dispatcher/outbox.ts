/**
 * What a session still has to tell its agent, as state instead of a queue: what is new replaces what
 * was not sent yet, so a slow agent costs no memory and always gets the newest.
 */
import {
  diffAssignments,
  type ManagerAddress,
  type ManagerMessage,
  type TaskMeasure,
} from '@swarmd/api';
import type { AssignmentSet, NodeRole, Task } from '@swarmd/model';

/** The list is the outbox's to keep. */
type Assigned = AssignmentSet & { readonly tasks: Task[] };

export interface OutboxSources {
  /** Raft index of the state that `assigned` reads. */
  readonly version: () => number;
  /** Computed at the moment of sending; undefined while the node is not known here. */
  readonly assigned: () => Assigned | undefined;
  readonly managers: () => readonly ManagerAddress[];
  /** Undefined while the node is not known here. */
  readonly role: () => NodeRole | undefined;
  /** What the node is to measure. */
  readonly measures: () => readonly TaskMeasure[];
  /** What was computed is what the agent knows already. */
  readonly unchanged: () => void;
  /** There is something to prepare that could not be prepared before. */
  readonly again: () => void;
}

/** One for all: thousands a second are sent. */
const HEARTBEAT: ManagerMessage = { kind: 'heartbeat' };

export class Outbox {
  /** Called when `next` may have something. */
  onNews = (): void => undefined;
  readonly #sources: OutboxSources;
  readonly #welcome: ManagerMessage;
  #welcomed = false;
  #assignmentsDirty = true;
  #sent: Assigned | undefined;
  /** Of the newest assignments prepared, and of the newest that are known to be applied. */
  #sentVersion = -1;
  #appliedVersion = -1;
  #managersDirty = true;
  #managersSent = '';
  #roleDirty = true;
  #roleSent: NodeRole | undefined;
  #measuresDirty = true;
  #measuresSent = '[]';
  /** Worked out and not taken yet, in this order. */
  readonly #prepared: ManagerMessage[] = [];
  #heartbeats = false;
  #acknowledge = -1;
  #acknowledged = -1;

  constructor(welcome: ManagerMessage, sources: OutboxSources) {
    this.#welcome = welcome;
    this.#sources = sources;
  }

  /** What the agent was told last, or will be next; undefined before the first assignments. */
  get sent(): AssignmentSet | undefined {
    return this.#sent;
  }

  /**
   * The node's network is known to be as it should be up to this version. What changed nothing for
   * the node needs no confirmation.
   */
  get applied(): number {
    const isSettled =
      this.#sent !== undefined &&
      !this.#assignmentsDirty &&
      this.#appliedVersion >= this.#sentVersion;
    return isSettled ? this.#sources.version() : this.#appliedVersion;
  }

  /** The agent confirms; what it says of versions this session has not sent is of an earlier one. */
  confirm(version: number): void {
    if (version > this.#sentVersion) return;
    this.#appliedVersion = Math.max(this.#appliedVersion, version);
  }

  /** They may differ: from this moment on silence confirms nothing. Whoever says so calls `prepare` later. */
  assignmentsChanged(): void {
    this.#assignmentsDirty = true;
    this.#measuresDirty = true;
  }

  /**
   * A task is further than the agent was told, who said so itself and need not hear of it. What was told
   * is only compared with: the version it was told of need not stay in memory for that.
   */
  progressed(told: Task, now: Task): void {
    const tasks = this.#sent?.tasks ?? [];
    const at = tasks.indexOf(told);
    if (at >= 0) tasks[at] = now;
  }

  /** As `assignmentsChanged`. */
  measuresChanged(): void {
    this.#measuresDirty = true;
  }

  /**
   * Works out what the agent is to be told of its tasks and its network. That takes time, so the
   * sessions of a manager take turns. What an agent has not taken yet is left as it is: the next time
   * then covers everything since.
   */
  prepare(): void {
    if (this.#prepared.length === 0)
      this.#prepared.push(...this.#assignments(), ...this.#measures());
    this.onNews();
  }

  nodeChanged(): void {
    this.#roleDirty = true;
    this.onNews();
  }

  managersChanged(): void {
    this.#managersDirty = true;
    this.onNews();
  }

  /** Heartbeats that came since the last answer get one answer. */
  answerHeartbeat(): void {
    this.#heartbeats = true;
    this.onNews();
  }

  /** Statuses up to `sequence` are settled. Whoever says so wakes the session, when its turn comes. */
  acknowledge(sequence: number): void {
    this.#acknowledge = Math.max(this.#acknowledge, sequence);
  }

  /** The next message, or undefined when the agent knows everything. */
  next(): ManagerMessage | undefined {
    if (!this.#welcomed) {
      this.#welcomed = true;
      return this.#welcome;
    }
    if (this.#heartbeats) {
      this.#heartbeats = false;
      return HEARTBEAT;
    }
    return (
      this.#nextManagers() ??
      this.#nextRole() ??
      this.#nextPrepared() ??
      this.#nextAcknowledgement()
    );
  }

  #nextPrepared(): ManagerMessage | undefined {
    const message = this.#prepared.shift();
    const isLast = message !== undefined && this.#prepared.length === 0;
    if (isLast && (this.#assignmentsDirty || this.#measuresDirty)) this.#sources.again();
    return message;
  }

  #nextRole(): ManagerMessage | undefined {
    if (!this.#roleDirty) return undefined;
    const role = this.#sources.role();
    if (role === undefined) return undefined;
    this.#roleDirty = false;
    if (role === this.#roleSent) return undefined;
    this.#roleSent = role;
    return { kind: 'node', role };
  }

  #nextManagers(): ManagerMessage | undefined {
    if (!this.#managersDirty) return undefined;
    this.#managersDirty = false;
    const managers = this.#sources.managers();
    const text = JSON.stringify(managers);
    if (managers.length === 0 || text === this.#managersSent) return undefined;
    this.#managersSent = text;
    return { kind: 'managers', managers };
  }

  #assignments(): ManagerMessage[] {
    if (!this.#assignmentsDirty) return [];
    this.#assignmentsDirty = false;
    const version = this.#sources.version();
    const assigned = this.#sources.assigned();
    if (assigned === undefined) return [];
    const delta = diffAssignments(this.#sent, assigned);
    this.#sent = assigned;
    if (delta === undefined) {
      this.#sources.unchanged();
      return [];
    }
    this.#sentVersion = version;
    return [{ kind: 'assignments', delta, version }];
  }

  #measures(): ManagerMessage[] {
    if (!this.#measuresDirty) return [];
    this.#measuresDirty = false;
    const tasks = this.#sources.measures();
    const text = tasks.length === 0 ? '[]' : JSON.stringify(tasks);
    if (text === this.#measuresSent) return [];
    this.#measuresSent = text;
    return [{ kind: 'measures', tasks }];
  }

  #nextAcknowledgement(): ManagerMessage | undefined {
    if (this.#acknowledge <= this.#acknowledged) return undefined;
    this.#acknowledged = this.#acknowledge;
    return { kind: 'status-ack', sequence: this.#acknowledged };
  }
}
