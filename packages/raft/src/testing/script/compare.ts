/** Compares an output with what a script expects, leaving out what only loggers say. */

const LOG_LINE = /^\s*(DEBUG|INFO|WARN|ERROR)\b/;

export interface Difference {
  /** Of the first expected line, 1-based. */
  readonly line: number;
  readonly command: string;
  readonly expected: readonly string[];
  readonly actual: readonly string[];
}

/** The lines that count; an output without any is "ok". */
export function comparable(lines: readonly string[]): string[] {
  const kept = lines.filter((line) => !LOG_LINE.test(line));
  return kept.length === 0 ? ['ok'] : kept;
}

export function equalLines(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, at) => line === b[at]);
}

/** One hunk for each difference, in the form of `diff -u`. */
export function unifiedDiff(file: string, differences: readonly Difference[]): string {
  const lines = [`--- ${file}`, `+++ ${file} (this core)`];
  for (const { line, command, expected, actual } of differences) {
    lines.push(`@@ -${line},${expected.length} +${line},${actual.length} @@ ${command}`);
    lines.push(...diffLines(expected, actual));
  }
  return `${lines.join('\n')}\n`;
}

/** By longest common subsequence; outputs are short. */
function diffLines(expected: readonly string[], actual: readonly string[]): string[] {
  const common = commonLengths(expected, actual);
  const out: string[] = [];
  let i = 0;
  let j = 0;
  while (i < expected.length || j < actual.length) {
    if (i < expected.length && expected[i] === actual[j]) {
      out.push(` ${expected[i]}`);
      i++;
      j++;
    } else if (j >= actual.length || cell(common, i + 1, j) >= cell(common, i, j + 1)) {
      out.push(`-${expected[i++]}`);
    } else {
      out.push(`+${actual[j++]}`);
    }
  }
  return out;
}

/** At [i][j]: how many lines the tails from i and j have in common. */
function commonLengths(a: readonly string[], b: readonly string[]): number[][] {
  const table = Array.from({ length: a.length + 1 }, () => Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    const row = table[i] ?? [];
    for (let j = b.length - 1; j >= 0; j--) {
      row[j] =
        a[i] === b[j]
          ? cell(table, i + 1, j + 1) + 1
          : Math.max(cell(table, i + 1, j), cell(table, i, j + 1));
    }
  }
  return table;
}

/** Past the end of either list nothing is in common, and it must not be chosen. */
function cell(table: readonly (readonly number[])[], i: number, j: number): number {
  return table[i]?.[j] ?? -1;
}
