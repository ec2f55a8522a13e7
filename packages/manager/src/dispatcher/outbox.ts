/**
 * What a session still has to tell its agent, as state instead of a queue: what is new replaces what
 * was not sent yet, so a slow agent costs no memory and always gets the newest.
 */
import { diffAssignments, type ManagerAddress, type ManagerMessage } from '@swarmd/api';
import type { AssignmentSet, NodeRole } from '@swarmd/model';

import { Wakeup } from '../wakeup.ts';

export interface OutboxSources {
  /** Computed at the moment of sending; undefined while the node is not known here. */
  readonly assigned: () => AssignmentSet | undefined;
  readonly managers: () => readonly ManagerAddress[];
  /** Undefined while the node is not known here. */
  readonly role: () => NodeRole | undefined;
}

export class Outbox {
  readonly wakeup = new Wakeup();
  readonly #sources: OutboxSources;
  readonly #welcome: ManagerMessage;
  #welcomed = false;
  #assignmentsDirty = true;
  #sent: AssignmentSet | undefined;
  #managersDirty = true;
  #managersSent = '';
  #roleSent: NodeRole | undefined;
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

  assignmentsChanged(): void {
    this.#assignmentsDirty = true;
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

  /** Statuses up to `sequence` are settled. */
  acknowledge(sequence: number): void {
    this.#acknowledge = Math.max(this.#acknowledge, sequence);
    this.wakeup.wake();
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
    const assigned = this.#sources.assigned();
    if (assigned === undefined) return undefined;
    const delta = diffAssignments(this.#sent, assigned);
    this.#sent = assigned;
    return delta === undefined ? undefined : { kind: 'assignments', delta };
  }

  #nextAcknowledgement(): ManagerMessage | undefined {
    if (this.#acknowledge <= this.#acknowledged) return undefined;
    this.#acknowledged = this.#acknowledge;
    return { kind: 'status-ack', sequence: this.#acknowledged };
  }
}
