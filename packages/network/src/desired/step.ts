/** Work for the kernel as data: what `apply/script.ts` turns into command lines. */

/** One program with its work on standard input. */
export type BatchStep =
  /** One `ip -batch` or `bridge -batch`; stops at the first line that fails. */
  | {
      readonly kind: 'ip' | 'bridge';
      readonly netns?: string;
      /** For lines that do not say by an address which family they are about; else IPv4. */
      readonly family?: 6;
      readonly lines: readonly string[];
    }
  /** One transaction: all of it or nothing. */
  | { readonly kind: 'nft'; readonly netns?: string; readonly text: string };

export type Step =
  | BatchStep
  /** name-host-netns: a name for the host's own namespace, unless it has that already. */
  | {
      readonly kind: 'add-netns' | 'delete-netns' | 'name-host-netns';
      readonly name: string;
    }
  /** Steps that do not need each other, at the same time; in a namespace if they name none themselves. */
  | { readonly kind: 'together'; readonly netns?: string; readonly steps: readonly BatchStep[] }
  /** Links that may have gone already. */
  | { readonly kind: 'delete-links'; readonly netns?: string; readonly names: readonly string[] }
  /** Lines "net/ipv4/ip_forward=1". A file that does not exist is skipped when it ends in "?". */
  | { readonly kind: 'sysctl'; readonly netns?: string; readonly lines: readonly string[] }
  /** Each line is the arguments of one `conntrack -D`; finding nothing is fine. */
  | {
      readonly kind: 'forget-connections';
      readonly netns?: string;
      readonly lines: readonly string[];
    };
