/**
 * Requests whose effects are in the state, with their answers: a request that comes again, because
 * its caller did not hear what became of it, is answered from here and changes nothing. Part of the
 * replicated state: what is kept and what is forgotten follows from the log alone.
 */
import { REQUEST_KEPT_MS, REQUESTS_MAX } from './limits.ts';

export interface AppliedRequest {
  /** Chosen by the caller, once for all attempts. */
  readonly id: string;
  /** What its transaction returned. */
  readonly answer: string;
  /** Time stamp of the batch that it was written in. */
  readonly at: number;
}

export class AppliedRequests {
  /** Oldest first: time stamps of batches only grow. */
  readonly #byId = new Map<string, AppliedRequest>();

  get(id: string): AppliedRequest | undefined {
    return this.#byId.get(id);
  }

  add(requests: readonly AppliedRequest[]): void {
    for (const request of requests) {
      this.#byId.delete(request.id);
      this.#byId.set(request.id, request);
    }
    const newest = requests.at(-1)?.at;
    if (newest !== undefined) this.#forget(newest - REQUEST_KEPT_MS);
  }

  replace(requests: Iterable<AppliedRequest>): void {
    this.#byId.clear();
    for (const request of requests) this.#byId.set(request.id, request);
  }

  list(): AppliedRequest[] {
    return [...this.#byId.values()];
  }

  #forget(before: number): void {
    for (const { id, at } of this.#byId.values()) {
      if (this.#byId.size <= REQUESTS_MAX && at >= before) return;
      this.#byId.delete(id);
    }
  }
}
