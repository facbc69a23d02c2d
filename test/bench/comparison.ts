/** Two checkouts of the project side by side: rounds that alternate, so that what the machine does meets both. */
import { formatNumber, median, type Figure } from './figures.ts'
import type { PartReport } from './report.ts'
import { runPart } from './run-part.ts'
import { formatRows } from './table.ts'

export interface Comparison {
  readonly name: string
  readonly unit: string
  /** Medians, one a round. */
  readonly here: readonly number[]
  readonly there: readonly number[]
}

/** Figures that both have. Throws the reason if a round of either fails. */
export async function comparePart(name: string, quick: boolean, there: string, rounds: number): Promise<Comparison[]> {
  const found = { here: [] as (readonly Figure[])[], there: [] as (readonly Figure[])[] }
  for (let round = 0; round < rounds; round++) {
    found.there.push(figuresOf(await runPart(name, quick, there)))
    found.here.push(figuresOf(await runPart(name, quick)))
  }
  const mediansOf = (side: readonly (readonly Figure[])[], wanted: string): number[] =>
    side.flatMap((figures) => figures.filter((figure) => figure.name === wanted).map(({ samples }) => median(samples)))
  return found.here[0]!.map((figure) => ({
    name: figure.name,
    unit: figure.unit,
    here: mediansOf(found.here, figure.name),
    there: mediansOf(found.there, figure.name),
  })).filter((comparison) => comparison.there.length > 0)
}

export function formatComparison(comparisons: readonly Comparison[]): string {
  const series = (values: readonly number[]): string => values.map(formatNumber).join(' ')
  return formatRows([
    ['figure', 'unit', 'here', 'there', 'here of there', 'rounds here', 'rounds there'],
    ...comparisons.map(({ name, unit, here, there }) => [
      name,
      unit,
      formatNumber(median(here)),
      formatNumber(median(there)),
      `${formatNumber(median(here) / median(there))} ×`,
      series(here),
      series(there),
    ]),
  ])
}

function figuresOf(part: PartReport): readonly Figure[] {
  if (part.outcome === 'failed') throw new Error(`${part.name}: ${part.reason}`)
  return part.figures
}
