/** Where the sockets of this machine's daemon are. */
const FLAG = '--run-dir';
export const RUN_DIR_DEFAULT = '/run/swarmd';

/**
 * The folder is needed before commander has parsed, since connections are made when first used. Only
 * words before the command count: later ones may be meant for a container.
 */
export function runDirOf(argv: readonly string[], environment: string | undefined): string {
  for (const [at, word] of argv.entries()) {
    if (!word.startsWith('-')) break;
    if (word === FLAG) return argv[at + 1] ?? RUN_DIR_DEFAULT;
    if (word.startsWith(`${FLAG}=`)) return word.slice(FLAG.length + 1);
  }
  return environment || RUN_DIR_DEFAULT;
}
