/** The user's end of a session: keys, size, and output as bytes, as fast as it can be shown. */
export interface Size {
  readonly rows: number;
  readonly columns: number;
}

export interface Console {
  /** Standard input and output are one terminal. */
  readonly isTerminal: boolean;
  /** Zeroes when it is no terminal. */
  readonly size: () => Size;
  readonly onResize: (listener: () => void) => Disposable;
  /** Every key as it is, until disposed. */
  readonly raw: () => Disposable;
  /** Standard input until its end. */
  readonly input: () => AsyncIterable<Uint8Array>;
  /** Ends `input`, also while it waits for a key. */
  readonly closeInput: () => void;
  /** Resolves when there is room for more. */
  readonly write: (stream: 'stdout' | 'stderr', data: Uint8Array) => Promise<void>;
}
