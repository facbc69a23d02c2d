/** Figures of the benchmarks and the table that shows them. */

export interface Figure {
  readonly name: string
  readonly unit: string
  readonly samples: readonly number[]
  /** What is to be reached, in words. */
  readonly target?: string
  readonly note?: string
}

/** The value that a share of the samples (0–1) does not exceed (nearest rank). */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export function printFigures(figures: readonly Figure[]): void {
  const rows = [
    ['figure', 'p50', 'p99', 'count', 'unit', 'to reach', 'note'],
    ...figures.map(({ name, unit, samples, target = '', note = '' }) => [
      name,
      number(percentile(samples, 0.5)),
      number(percentile(samples, 0.99)),
      String(samples.length),
      unit,
      target,
      note,
    ]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}\n`,
    )
}
