/**
 * Two texts line by line, in the unified form.
 * https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html
 */
import type { Palette } from '../../proto/terminal/output/color.ts'

interface Edit {
  readonly mark: ' ' | '-' | '+'
  readonly line: string
}

const CONTEXT = 3

/** Empty if the texts are the same. */
export function unifiedDiff(
  before: string,
  after: string,
  names: { before: string; after: string },
  colors?: Palette,
): string {
  if (before === after) return ''
  const edits = compareLines(lines(before), lines(after))
  const paint = (edit: Edit): string => {
    const text = edit.mark + edit.line
    return colors === undefined || edit.mark === ' ' ? text : edit.mark === '-' ? colors.red(text) : colors.green(text)
  }
  const hunks = hunksOf(edits).map(({ start, end }) => {
    const part = edits.slice(start, end)
    const old = range(edits, start, part, '+')
    const fresh = range(edits, start, part, '-')
    const head = `@@ -${old} +${fresh} @@`
    return [colors?.cyan(head) ?? head, ...part.map(paint)].join('\n')
  })
  return `--- ${names.before}\n+++ ${names.after}\n${hunks.join('\n')}\n`
}

function lines(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}

/** "3,7": first line and count on the side that does not have lines with `other`. */
function range(edits: readonly Edit[], start: number, part: readonly Edit[], other: '-' | '+'): string {
  const before = edits.slice(0, start).filter((edit) => edit.mark !== other).length
  const count = part.filter((edit) => edit.mark !== other).length
  return `${count === 0 ? before : before + 1},${count}`
}

/** A shortest list of edits, by the longest common subsequence of what lies between a common beginning and end. */
function compareLines(before: readonly string[], after: readonly string[]): Edit[] {
  let head = 0
  while (head < before.length && head < after.length && before[head] === after[head]) head++
  let tail = 0
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  )
    tail++
  const a = before.slice(head, before.length - tail)
  const b = after.slice(head, after.length - tail)
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--)
      common[i]![j] = a[i] === b[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!)
  }
  const edits: Edit[] = before.slice(0, head).map((line) => ({ mark: ' ', line }))
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      edits.push({ mark: ' ', line: a[i++]! })
      j++
    } else if (j === b.length || (i < a.length && common[i + 1]![j]! >= common[i]![j + 1]!))
      edits.push({ mark: '-', line: a[i++]! })
    else edits.push({ mark: '+', line: b[j++]! })
  }
  return [...edits, ...before.slice(before.length - tail).map((line): Edit => ({ mark: ' ', line }))]
}

/** Runs of edits with their context; runs that would touch are one. */
function hunksOf(edits: readonly Edit[]): { start: number; end: number }[] {
  const hunks: { start: number; end: number }[] = []
  edits.forEach((edit, at) => {
    if (edit.mark === ' ') return
    const last = hunks.at(-1)
    if (last !== undefined && at - CONTEXT <= last.end) last.end = Math.min(edits.length, at + 1 + CONTEXT)
    else hunks.push({ start: Math.max(0, at - CONTEXT), end: Math.min(edits.length, at + 1 + CONTEXT) })
  })
  return hunks
}
