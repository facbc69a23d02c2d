import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parse } from 'yaml'
import { formatDuration, parseDuration } from '../../../proto/base/duration.ts'
import { ageSince, formatAge } from '../../../proto/objects/columns/age.ts'
import { palette } from '../../../proto/terminal/output/color.ts'
import { unifiedDiff } from '../../../cli/output/diff.ts'
import { Progress } from '../../../proto/terminal/output/progress.ts'
import { formatTable, Table } from '../../../proto/terminal/output/table.ts'
import { escapeControls } from '../../../proto/terminal/output/escape-controls.ts'
import { formatPage } from '../../../cli/output/page.ts'
import { formatYaml } from '../../../proto/base/yaml-text.ts'
import { parseCustomColumns } from '../../../cli/output/custom-columns.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('ages', () => {
  for (const [millis, text] of [
    [-5 * SECOND, '<invalid>'],
    [-SECOND, '0s'],
    [0, '0s'],
    [119 * SECOND, '119s'],
    [120 * SECOND, '2m'],
    [3 * MINUTE + 20 * SECOND, '3m20s'],
    [10 * MINUTE + 5 * SECOND, '10m'],
    [179 * MINUTE, '179m'],
    [180 * MINUTE, '3h'],
    [5 * HOUR + 12 * MINUTE, '5h12m'],
    [8 * HOUR + 12 * MINUTE, '8h'],
    [47 * HOUR, '47h'],
    [48 * HOUR, '2d'],
    [76 * HOUR, '3d4h'],
    [8 * DAY + 5 * HOUR, '8d'],
    [729 * DAY, '729d'],
    [730 * DAY, '2y'],
    [740 * DAY, '2y10d'],
    [2920 * DAY, '8y'],
  ] as const)
    it(`${millis} ms is ${text}`, () => assert.equal(formatAge(millis), text))

  it('is unknown without a beginning', () => assert.equal(ageSince(undefined, 0), '<unknown>'))
})

describe('text that others wrote', () => {
  const EVIL = 'a\u001b]0;title\u0007b\u001b[2Jc\u009b1md\u007f\re'
  const SHOWN = 'a^[]0;title^Gb^[[2Jc\\x9b1md^?^Me'

  it('steers no terminal, in tables and descriptions', () => {
    assert.equal(escapeControls(EVIL), SHOWN)
    assert.equal(formatTable([[EVIL, 'x']]), `${SHOWN}   x\n`)
    assert.equal(formatPage([{ label: 'Message', value: EVIL }]), `Message:  ${SHOWN}\n`)
    assert.equal(formatPage([{ label: 'Log', value: { lines: [EVIL] } }]), `Log:\n  ${SHOWN}\n`)
  })

  it('keeps colours, line breaks and tabs', () => {
    const text = `${palette({ isTTY: true }, {}).red('red')}\n\tx`
    assert.equal(escapeControls(text), text)
  })
})

describe('durations', () => {
  for (const [text, millis] of [
    ['30s', 30_000],
    ['1m30s', 90_000],
    ['1h', HOUR],
    ['500ms', 500],
    ['2d', 2 * DAY],
    ['15', 15_000],
    ['0', 0],
    ['1.5h', 1.5 * HOUR],
    ['-1s', -1000],
  ] as const) {
    it(`${text} is ${millis} ms`, () => assert.equal(parseDuration(text), millis))
  }

  for (const [millis, text] of [
    [15_000, '15s'],
    [90_000, '1m30s'],
    [2 * DAY + 500, '2d500ms'],
    [0, '0s'],
    [-1000, '-1s'],
  ] as const)
    it(`${millis} ms is ${text}`, () => assert.equal(formatDuration(millis), text))

  for (const text of ['', 'soon', '5x', '1m30', 's', '-', '1 m'])
    it(`refuses "${text}"`, () => assert.throws(() => parseDuration(text), /is not a length of time/))
})

describe('tables', () => {
  it('keeps columns apart, whatever their colour and width', () => {
    const { red } = palette({ isTTY: true }, {})
    assert.equal(
      formatTable([
        ['NAME', 'STATUS', 'AGE'],
        ['a', red('Failed'), '5m'],
        ['longer', 'ok', ''],
      ]),
      `NAME     STATUS   AGE\na        ${red('Failed')}   5m\nlonger   ok\n`,
    )
  })

  it('stays aligned as rows come', () => {
    const table = new Table()
    table.format([
      ['NAME', 'AGE'],
      ['long-name', '1s'],
    ])
    assert.deepEqual(table.format([['a', '2s']]), ['a           2s'])
  })

  it('splits custom columns outside brackets', () => {
    assert.deepEqual(
      parseCustomColumns('A:.a[0,1],B:.b').map(({ header }) => header),
      ['A', 'B'],
    )
    assert.throws(() => parseCustomColumns('A'), /is not HEADER:PATH/)
  })
})

describe('yaml', () => {
  it('quotes what YAML 1.1 takes for something else', () => {
    assert.equal(
      formatYaml({ a: 'yes', b: '1', c: 'no: x', list: [{ x: 1 }] }),
      'a: "yes"\nb: "1"\nc: "no: x"\nlist:\n- x: 1\n',
    )
  })

  it('reads back as it was, by the rules of 1.1 and 1.2', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string(),
          fc
            .oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string()))
            .filter((value) => value !== '__proto__'),
        ),
        (value) => {
          const plain = Object.fromEntries(Object.entries(value).filter(([key]) => key !== '__proto__'))
          for (const version of ['1.1', '1.2'] as const)
            assert.deepEqual(parse(formatYaml(plain), { version }) ?? {}, plain)
        },
      ),
    )
  })
})

describe('diffs', () => {
  const names = { before: 'a', after: 'b' }

  it('shows changes with three lines around them', () => {
    const lines = Array.from({ length: 12 }, (_, index) => `line ${index}`)
    const before = `${lines.join('\n')}\n`
    assert.equal(
      unifiedDiff(before, before.replace('line 5', 'LINE 5'), names),
      '--- a\n+++ b\n@@ -3,7 +3,7 @@\n line 2\n line 3\n line 4\n-line 5\n+LINE 5\n line 6\n line 7\n line 8\n',
    )
    assert.equal(unifiedDiff(before, before, names), '')
    assert.equal(unifiedDiff('', 'x\n', names), '--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n')
  })

  it('turns the one text into the other', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 20 })
    fc.assert(
      fc.property(text, text, (before, after) => {
        const diff = unifiedDiff(
          before.map((line) => `${line}\n`).join(''),
          after.map((line) => `${line}\n`).join(''),
          names,
        )
        assert.deepEqual(patch(before, diff), after)
      }),
    )
  })
})

/** Applies a unified diff. */
function patch(before: readonly string[], diff: string): string[] {
  const after: string[] = []
  let at = 0
  for (const line of diff.split('\n').slice(2, -1)) {
    const hunk = /^@@ -(\d+),(\d+) /.exec(line)
    if (hunk !== null) {
      const start = Number(hunk[1]) - (hunk[2] === '0' ? 0 : 1)
      after.push(...before.slice(at, start))
      at = start
    } else if (line.startsWith('+')) after.push(line.slice(1))
    else {
      assert.equal(before[at], line.slice(1))
      if (line.startsWith(' ')) after.push(line.slice(1))
      at++
    }
  }
  return [...after, ...before.slice(at)]
}

describe('progress', () => {
  const write = (terminal: boolean): string => {
    let text = ''
    const progress = new Progress({ write: (part) => void (text += String(part)), isTTY: terminal, columns: 10 })
    for (const state of ['one', 'one', 'a long state']) progress.update(state)
    progress.clear()
    return text
  }

  it('is one line on a terminal, cut to its width', () =>
    assert.equal(write(true), '\r\u001b[2Kone\r\u001b[2Ka long st\r\u001b[2K'))
  it('is a line for each new state elsewhere', () => assert.equal(write(false), 'one\na long state\n'))
})
