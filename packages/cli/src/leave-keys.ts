/** ctrl-p ctrl-q leaves what one has attached to, as with Docker, however the keys come: in one piece or apart. */
const CTRL_P = 0x10;
const CTRL_Q = 0x11;

export class LeaveKeys {
  /** A ctrl-p that is passed on once something else follows. */
  #held = false;

  /** What of the keys is the program's, and whether those to leave came after it: the rest is nobody's. */
  take(data: Uint8Array): { readonly keys: Uint8Array; readonly leaves: boolean } {
    const keys: number[] = [];
    for (const key of data) {
      if (this.#held && key === CTRL_Q) return { keys: Uint8Array.from(keys), leaves: true };
      if (this.#held) keys.push(CTRL_P);
      this.#held = key === CTRL_P;
      if (!this.#held) keys.push(key);
    }
    return { keys: Uint8Array.from(keys), leaves: false };
  }
}
