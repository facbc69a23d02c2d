/** What the benchmarks measure, and what each figure is held against. */

export interface Figure {
  readonly name: string
  readonly unit: string
  readonly samples: readonly number[]
  readonly goal?: Goal
  readonly floor?: Floor
  /** What the median is made of, in the same unit, the largest first. */
  readonly shares?: readonly Share[]
  readonly note?: string
}

/** What is to be reached: bounds of the median, and of the 99th percentile. */
export interface Goal {
  readonly atMost?: number
  readonly atLeast?: number
  readonly p99?: number
}

/** The least that this machine allows, measured in the same run and in the figure's unit. */
export interface Floor {
  readonly name: string
  readonly value: number
}

export interface Share {
  readonly name: string
  readonly value: number
}

/** How much is measured: `quick` says enough to judge a step by, and takes a small part of the time. */
export interface Effort {
  readonly quick: boolean
}

/** A fifth of the samples will do for a quick run. */
export function sampleCount({ quick }: Effort, whole: number): number {
  return quick ? Math.ceil(whole / 5) : whole
}

/** The value that a share of the samples (0–1) does not exceed (nearest rank). */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}

/** A figure as the floor of others. */
export function floorOf({ name, samples }: Figure): Floor {
  return { name, value: median(samples) }
}

/** Whether the goal is reached; undefined without one. */
export function isReached({ samples, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined
  const { atMost = Infinity, atLeast = -Infinity, p99 = Infinity } = goal
  const middle = median(samples)
  return middle <= atMost && middle >= atLeast && percentile(samples, 0.99) <= p99
}

/** Three digits that count. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return String(value)
  const size = Math.abs(value)
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export function formatGoal({ atMost, atLeast, p99 }: Goal): string {
  return [
    ...(atMost === undefined ? [] : [`≤ ${formatNumber(atMost)}`]),
    ...(atLeast === undefined ? [] : [`≥ ${formatNumber(atLeast)}`]),
    ...(p99 === undefined ? [] : [`p99 ≤ ${formatNumber(p99)}`]),
  ].join(', ')
}

/** The median beside its floor: how many times as much. */
export function formatRatio({ samples, floor }: Figure): string {
  return floor === undefined ? '' : `${formatNumber(median(samples) / floor.value)} ×`
}
