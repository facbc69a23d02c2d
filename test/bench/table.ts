/** Figures as a table for a terminal. */
import { formatGoal, formatNumber, formatRatio, isReached, percentile, type Figure } from './figures.ts'

const HEADINGS = ['figure', 'median', 'p99', 'count', 'unit', 'floor', 'of floor', 'goal', '', 'note']
/** Shares of a figure below this part of it are told together. */
const SMALL_SHARE = 0.01

/** A line of headings, a line for each figure, and below it one for each share of it. */
export function formatTable(figures: readonly Figure[]): string {
  return formatRows([HEADINGS, ...figures.flatMap((figure) => [figureRow(figure), ...shareRows(figure)])])
}

/** Columns are as wide as what is in them. */
export function formatRows(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) => `${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}

function figureRow(figure: Figure): string[] {
  const { name, unit, samples, floor, goal, note = '' } = figure
  return [
    name,
    formatNumber(percentile(samples, 0.5)),
    formatNumber(percentile(samples, 0.99)),
    String(samples.length),
    unit,
    floor === undefined ? '' : formatNumber(floor.value),
    formatRatio(figure),
    goal === undefined ? '' : formatGoal(goal),
    isReached(figure) === false ? 'short' : '',
    note,
  ]
}

function shareRows({ shares = [], unit }: Figure): string[][] {
  const all = shares.reduce((sum, { value }) => sum + value, 0)
  const large = shares.filter(({ value }) => value >= SMALL_SHARE * all)
  const small = all - large.reduce((sum, { value }) => sum + value, 0)
  return [...large, ...(small > 0 ? [{ name: 'other', value: small }] : [])].map(({ name, value }) => [
    `  ${name}`,
    formatNumber(value),
    '',
    '',
    unit,
    ...Array.from({ length: HEADINGS.length - 5 }, () => ''),
  ])
}
