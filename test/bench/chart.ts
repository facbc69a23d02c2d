/**
 * A report as a drawing: a line for each figure, with a bar up to its median, its floor as a solid mark and its goal as
 * a dashed one. Each line has a scale of its own, since units differ. A bar of a figure that has shares shows them.
 */
import {
  formatGoal,
  formatNumber,
  formatRatio,
  isReached,
  median,
  type Figure,
  type Floor,
  type Share,
} from './figures.ts'
import type { PartReport, Report } from './report.ts'

const WIDTH = 1160
const LINE = 24
const BAR = 12
/** Where bars begin and end, and where the text beside them begins. */
const LEFT = 330
const RIGHT = 780
const TEXT = 795
const LEGEND_COLUMNS = 6
const SHORT = '#d9822b'
const REACHED = '#3d8f5f'
const WITHOUT_GOAL = '#6b7c93'
/** Of shares, by the order in which their names come up in the report. */
const SHARE_COLORS = [
  '#4c78a8',
  '#f58518',
  '#54a24b',
  '#e45756',
  '#72b7b2',
  '#eeca3b',
  '#b279a2',
  '#ff9da6',
  '#9d755d',
  '#8cd17d',
  '#499894',
  '#d37295',
  '#a0cbe8',
  '#ffbe7d',
  '#79706e',
  '#bab0ac',
]

export function drawChart({ at, commit, machine, quick, parts }: Report): string {
  const colors = new Map(shareNames(parts).map((name, index) => [name, SHARE_COLORS[index % SHARE_COLORS.length]!]))
  const lines: string[] = []
  let y = 30
  const put = (height: number, draw: (y: number) => string): void => {
    lines.push(draw(y))
    y += height
  }
  const subtitle = `${commit}, ${at}, ${machine.processors} × ${machine.model}, Node.js ${machine.node}${quick ? ', quick' : ''}`
  put(20, (top) => text(10, top, 'Gantry’s benchmarks', 'font-weight="bold" font-size="16"'))
  put(20, (top) => text(10, top, `${subtitle}. Bars: medians; │ floor; ┆ goal; orange falls short.`, 'fill="#555"'))
  for (const part of parts) {
    put(LINE + 10, (top) => text(10, top + 20, `${part.name} (${part.seconds.toFixed(0)} s)`, 'font-weight="bold"'))
    if (part.outcome === 'failed')
      put(LINE, (top) => text(20, top + 4, `failed: ${part.reason.split('\n')[0]!}`, `fill="${SHORT}"`))
    else for (const figure of part.figures) put(LINE, (top) => drawFigure(figure, top, colors))
  }
  y += 20
  const legend = [...colors].map(([name, color], index) => {
    const [left, top] = [20 + 180 * (index % LEGEND_COLUMNS), y + 18 * Math.floor(index / LEGEND_COLUMNS)]
    return `${box(left, top, BAR, color)}${text(left + 20, top + BAR / 2 + 4, name, 'fill="#555"')}`
  })
  put(18 * Math.ceil(legend.length / LEGEND_COLUMNS), () => legend.join(''))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 10}" viewBox="0 0 ${WIDTH} ${y + 10}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...lines,
    '</svg>\n',
  ].join('\n')
}

function shareNames(parts: readonly PartReport[]): string[] {
  const figures = parts.flatMap((part) => (part.outcome === 'measured' ? part.figures : []))
  return [...new Set(figures.flatMap(({ shares = [] }) => shares.map(({ name }) => name)))]
}

function drawFigure(figure: Figure, top: number, colors: ReadonlyMap<string, string>): string {
  const { name, unit, floor, goal, shares = [], note } = figure
  const middle = median(figure.samples)
  const marks = [goal?.atMost, goal?.atLeast].filter((value) => value !== undefined)
  const most = Math.max(middle, floor?.value ?? 0, ...marks, Number.MIN_VALUE) * 1.1
  const at = (value: number): number => LEFT + ((RIGHT - LEFT) * Math.max(0, value)) / most
  const reached = isReached(figure)
  const color = reached === undefined ? WITHOUT_GOAL : reached ? REACHED : SHORT
  const words = [
    `${formatNumber(middle)} ${unit}`,
    ...(goal === undefined ? [] : [`goal ${formatGoal(goal)}`]),
    ...(floor === undefined ? [] : [`${formatRatio(figure)} floor`]),
  ]
  const hint = [...(note === undefined ? [] : [note]), ...(floor === undefined ? [] : [floorWords(floor, unit)])]
  return [
    '<g>',
    hint.length === 0 ? '' : `<title>${escape(hint.join('; '))}</title>`,
    text(20, top + BAR / 2 + 4, name, ''),
    shares.length === 0
      ? box(LEFT, top, at(middle) - LEFT, color)
      : drawShares(shares, top, (at(middle) - LEFT) / total(shares), colors),
    floor === undefined ? '' : mark(at(floor.value), top, ''),
    ...marks.map((value) => mark(at(value), top, ' stroke-dasharray="3 2"')),
    text(TEXT, top + BAR / 2 + 4, words.join(', '), `fill="${color}"`),
    '</g>',
  ].join('')
}

function floorWords({ name, value }: Floor, unit: string): string {
  return `floor: ${name}, ${formatNumber(value)} ${unit}`
}

function drawShares(shares: readonly Share[], top: number, scale: number, colors: ReadonlyMap<string, string>): string {
  let x = LEFT
  return shares
    .map(({ name, value }) => {
      const width = value * scale
      const segment = `<g><title>${escape(`${name}: ${formatNumber(value)}`)}</title>${box(x, top, width, colors.get(name)!)}</g>`
      x += width
      return segment
    })
    .join('')
}

function total(shares: readonly Share[]): number {
  return shares.reduce((sum, { value }) => sum + value, 0)
}

function box(x: number, y: number, width: number, color: string): string {
  return `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${color}"/>`
}

function mark(x: number, top: number, style: string): string {
  return `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top - 3}" y2="${top + BAR + 3}" stroke="#222" stroke-width="1.5"${style}/>`
}

function text(x: number, y: number, content: string, style: string): string {
  return `<text x="${x}" y="${y}" ${style}>${escape(content)}</text>`
}

function escape(content: string): string {
  return content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
