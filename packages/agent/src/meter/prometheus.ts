/** Prometheus' text form, as far as one metric needs it. */

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^\n]*\})?[ \t]+(\S+)/;

/**
 * The sum of all samples of a metric, whatever their labels; undefined when there is none that is a
 * finite number. Source of the form: prometheus.io/docs/instrumenting/exposition_formats.
 */
export function sumOfMetric(text: string, name: string): number | undefined {
  let sum: number | undefined;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const [, found, value = ''] = SAMPLE.exec(line) ?? [];
    const number = Number(value);
    if (found !== name || value === '' || !Number.isFinite(number)) continue;
    sum = (sum ?? 0) + number;
  }
  return sum;
}
