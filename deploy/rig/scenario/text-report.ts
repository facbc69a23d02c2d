/** A scenario's result for people: a line as each step ends, more about what failed, one line in the end. */
import type { Sink } from '../../../proto/terminal/environment.ts'
import { palette, type Palette } from '../../../proto/terminal/output/color.ts'
import { Progress } from '../../../proto/terminal/output/progress.ts'
import type { PerformListener } from './perform.ts'
import type { ScenarioResult, StepResult, StepStatus } from './result.ts'
import type { Scenario, Step } from './scenario.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { formatSeconds } from './seconds.ts'

const MARKS: Record<StepStatus, string> = { passed: '✓', failed: '✗', stopped: '■', skipped: '-' }

/** Characters of a line before its time. */
const WIDTH = 76

export class TextReport implements PerformListener {
  readonly #scenario: Scenario
  readonly #stdout: Sink
  readonly #colors: Palette
  /** What is under way, on terminals only. */
  readonly #progress: Progress | undefined
  readonly #open = new Map<string, string>()

  constructor(
    scenario: Scenario,
    { stdout, stderr, env }: { stdout: Sink; stderr: Sink; env: Readonly<Record<string, string | undefined>> },
  ) {
    this.#scenario = scenario
    this.#stdout = stdout
    this.#colors = palette(stdout, env)
    this.#progress = stderr.isTTY === true ? new Progress(stderr) : undefined
    stdout.write(`${this.#colors.bold(scenario.name)} ${this.#colors.dim(`(${scenario.file})`)}\n`)
    this.#progress?.update('  … the rig')
  }

  ready({ name, machines }: ScenarioRig, millis: number): void {
    const count = (role: string): number => machines.filter((machine) => machine.role === role).length
    const word = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
    this.#line(
      'passed',
      0,
      `rig ${name}: ${word(count('controller'), 'controller')}, ${word(count('node'), 'node')}`,
      millis,
    )
  }

  begun({ number, label }: Step, round: string): void {
    this.#open.set(`${number} ${round}`, label)
    this.#show()
  }

  ended({ number, round, label, status, millis, failure, note, position }: StepResult): void {
    this.#open.delete(`${number} ${round}`)
    const depth = number.split('.').length - 1
    this.#line(status, depth, `${number} ${label}${round === '' ? '' : ` (round ${round})`}`, millis, note)
    const indent = ' '.repeat(6 + 2 * depth)
    if (failure !== undefined) {
      const { message, expected, seen, at } = failure
      const rows = [
        `${this.#scenario.file}:${position.line}:${position.column}: ${message}`,
        ...(expected === undefined ? [] : [`expected: ${expected}`]),
        ...(seen === undefined ? [] : [`seen:     ${seen}`]),
        ...(at === undefined ? [] : [`at:       ${formatSeconds(at)} after the first step`]),
      ]
      this.#stdout.write(
        rows.map((row) => `${indent}${this.#colors.red(row.replaceAll('\n', `\n${indent}`))}\n`).join(''),
      )
    }
    this.#show()
  }

  /** The end, with what is not about a step. */
  finish({ status, steps, millis, problems, archive }: ScenarioResult): void {
    this.#progress?.clear()
    const count = (wanted: StepStatus): number => steps.filter((step) => step.status === wanted).length
    for (const problem of problems) this.#stdout.write(`  ${this.#colors.red(problem.replaceAll('\n', '\n  '))}\n`)
    const skipped = count('skipped')
    const words = [
      `${count('passed')} step${count('passed') === 1 ? '' : 's'}`,
      ...(count('failed') === 0 ? [] : [`${count('failed')} failed`]),
      ...(skipped === 0 ? [] : [`${skipped} not run`]),
    ]
    const color = status === 'passed' ? this.#colors.green : this.#colors.red
    this.#stdout.write(`  ${color(status)} in ${formatSeconds(millis)}: ${words.join(', ')}\n`)
    if (archive !== undefined) this.#stdout.write(`  logs: ${archive}\n`)
  }

  #line(status: StepStatus, depth: number, text: string, millis: number, note?: string): void {
    this.#progress?.clear()
    const begin = `${' '.repeat(2 + 2 * depth)}${MARKS[status]} ${text}`
    const color =
      status === 'passed' ? this.#colors.green : status === 'failed' ? this.#colors.red : this.#colors.yellow
    const time = this.#colors.dim(
      `${formatSeconds(millis).padStart(Math.max(1, WIDTH + 8 - begin.length))}${note === undefined ? '' : `  ${note}`}`,
    )
    this.#stdout.write(`${begin.replace(MARKS[status], color(MARKS[status]))} ${time}\n`)
  }

  #show(): void {
    const last = [...this.#open.values()].at(-1)
    if (last !== undefined) this.#progress?.update(`  … ${last}`)
  }
}
