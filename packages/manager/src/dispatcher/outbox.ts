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
import type { AssignmentSet, NodeRole } from '@swarmd/model';

import { Wakeup } from '../wakeup.ts';

export interface OutboxSources {
  /** Raft index of the state that `assigned` reads. */
  readonly version: () => number;
  /** Computed at the moment of sending; undefined while the node is not known here. */
  readonly assigned: () => AssignmentSet | undefined;
  readonly managers: () => readonly ManagerAddress[];
  /** Undefined while the node is not known here. */
  readonly role: () => NodeRole | undefined;
  /** What the node is to measure. */
  readonly measures: () => readonly TaskMeasure[];
  /** What was computed is what the agent knows already. */
  readonly unchanged: () => void;
}

export class Outbox {
  readonly wakeup = new Wakeup();
  readonly #sources: OutboxSources;
  readonly #welcome: ManagerMessage;
  #welcomed = false;
  #assignmentsDirty = true;
  #sent: AssignmentSet | undefined;
  /** Of the newest assignments sent, and of the newest that are known to be applied. */
  #sentVersion = -1;
  #appliedVersion = -1;
  #managersDirty = true;
  #managersSent = '';
  #roleSent: NodeRole | undefined;
  #measuresDirty = true;
  #measuresSent = '[]';
  #heartbeats = false;
  #acknowledge = -1;
  #acknowledged = -1;

  constructor(welcome: ManagerMessage, sources: OutboxSources) {
    this.#welcome = welcome;
    this.#sources = sources;
  }

  /** What the agent was told last; undefined before the first assignments. */
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

  /**
   * They may differ: from this moment on silence confirms nothing. Whoever says so wakes the session,
   * when its turn comes.
   */
  assignmentsChanged(): void {
    this.#assignmentsDirty = true;
    this.#measuresDirty = true;
  }

  measuresChanged(): void {
    this.#measuresDirty = true;
    this.wakeup.wake();
  }

  nodeChanged(): void {
    this.wakeup.wake();
  }

  managersChanged(): void {
    this.#managersDirty = true;
    this.wakeup.wake();
  }

  /** Heartbeats that came since the last answer get one answer. */
  answerHeartbeat(): void {
    this.#heartbeats = true;
    this.wakeup.wake();
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
      return { kind: 'heartbeat' };
    }
    return (
      this.#nextManagers() ??
      this.#nextRole() ??
      this.#nextAssignments() ??
      this.#nextMeasures() ??
      this.#nextAcknowledgement()
    );
  }

  #nextRole(): ManagerMessage | undefined {
    const role = this.#sources.role();
    if (role === undefined || role === this.#roleSent) return undefined;
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

  #nextAssignments(): ManagerMessage | undefined {
    if (!this.#assignmentsDirty) return undefined;
    this.#assignmentsDirty = false;
    const version = this.#sources.version();
    const assigned = this.#sources.assigned();
    if (assigned === undefined) return undefined;
    const delta = diffAssignments(this.#sent, assigned);
    this.#sent = assigned;
    if (delta === undefined) {
      this.#sources.unchanged();
      return undefined;
    }
    this.#sentVersion = version;
    return { kind: 'assignments', delta, version };
  }

  #nextMeasures(): ManagerMessage | undefined {
    if (!this.#measuresDirty) return undefined;
    this.#measuresDirty = false;
    const tasks = this.#sources.measures();
    const text = JSON.stringify(tasks);
    if (text === this.#measuresSent) return undefined;
    this.#measuresSent = text;
    return { kind: 'measures', tasks };
  }

  #nextAcknowledgement(): ManagerMessage | undefined {
    if (this.#acknowledge <= this.#acknowledged) return undefined;
    this.#acknowledged = this.#acknowledge;
    return { kind: 'status-ack', sequence: this.#acknowledged };
  }
}
