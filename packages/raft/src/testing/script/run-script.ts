/** Runs one script from its text and says where the core differs from it. */
import { comparable, equalLines, type Difference } from './compare.ts';
import { ConfChangeScript } from './conf-change-commands.ts';
import { parseScript, type ScriptCase } from './datadriven.ts';
import { runInteraction } from './interaction-commands.ts';
import { runQuorum } from './quorum-commands.ts';
import { ScriptCluster } from './script-cluster.ts';

/** One case with what the core printed for it. */
export interface CaseResult {
  readonly test: ScriptCase;
  readonly actual: readonly string[];
  readonly same: boolean;
}

/** @throws SwarmError `invalid-argument` when the text is not a script. */
export function runScript(text: string): CaseResult[] {
  const cluster = new ScriptCluster();
  const membership = new ConfChangeScript();
  return parseScript(text).map((test) => {
    const actual = runInteraction(cluster, test) ??
      runQuorum(test) ??
      membership.run(test) ?? ['unknown command'];
    return { test, actual, same: equalLines(comparable(test.expected), comparable(actual)) };
  });
}

/** The script with its expectations replaced by what the core printed. */
export function rewriteScript(text: string, results: readonly CaseResult[]): string {
  const lines = text.split('\n');
  // From the end, so that earlier line numbers stay right.
  for (const { test, actual } of results.toReversed()) {
    lines.splice(test.expectedLine - 1, test.expected.length, ...actual);
  }
  return lines.join('\n');
}

/** What to show of a script's failures. */
export function differencesOf(results: readonly CaseResult[]): Difference[] {
  return results
    .filter((result) => !result.same)
    .map(({ test, actual }) => ({
      line: test.expectedLine,
      command: [test.command, ...test.args.map(({ key }) => key)].join(' '),
      expected: comparable(test.expected),
      actual: comparable(actual),
    }));
}
