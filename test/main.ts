/**
 * Runs every test and the static checks (`npm test`), in lanes beside each other, because most tests mostly wait: for
 * programs, for packets, for a cluster to notice something. Within a lane one test file follows the other. The first
 * lane's output is shown as it comes, each other's when those before it have ended. At the end stands once more what
 * failed, because some see only the end, and then the sums of all, as mocha words them. Arguments go to mocha. Ends
 * with 1 if a test failed, if a lane ended without telling its result or if a static check found something; each of the
 * latter counts as one failure.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
/**
 * The first two hold what has machines and real programs; the third takes what no other names, two of the clusters with
 * it, so that all take about as long.
 */
const CLUSTERS = ['test/e2e/**/!(package|shop).test.ts']
const MACHINES = ['test/integration/**/*.test.ts']
const except = (but: readonly string[]): string[] => but.flatMap((pattern) => ['--ignore', pattern])

interface LaneSpec {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  /** What it holds when all is well: tests, which are counted, or checks, which only end well. */
  readonly holds: 'tests' | 'checks'
}

const colour = process.stdout.isTTY ? ['--color'] : []
const tests = (name: string, files: readonly string[]): LaneSpec => ({
  name,
  program: process.execPath,
  args: [join(ROOT, 'node_modules/mocha/bin/mocha.js'), ...files, ...colour, ...process.argv.slice(2)],
  holds: 'tests',
})
const LANES: readonly LaneSpec[] = [
  tests('clusters', CLUSTERS),
  tests('machines, stores and programs', MACHINES),
  tests('parts', ['test/**/*.test.ts', ...except([...CLUSTERS, ...MACHINES])]),
  // They wait for nothing: at a lower priority they take what the tests leave of the processors.
  { name: 'static checks', program: 'nice', args: ['-n', '10', 'npm', 'run', 'static'], holds: 'checks' },
]

interface Result {
  readonly passing: number
  readonly failing: number
}

/** So much of a lane's failures is shown once more at the end. */
const MAX_FAILURES_CHARACTERS = 8_000

class Lane {
  readonly name: string
  readonly result: Promise<Result>
  readonly #holds: LaneSpec['holds']
  readonly #process: ChildProcess
  #output = ''
  #shown = false

  constructor({ name, program, args, holds }: LaneSpec) {
    this.name = name
    this.#holds = holds
    // A process group of its own: mocha runs the tests in a child, and does not pass signals on to it.
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#process = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        if (this.#shown) process.stdout.write(text)
      })
    }
    this.result = new Promise((resolve) => {
      child.once('error', (error) => (this.#output += `${error.message}\n`))
      child.once('close', (code, signal) => resolve(this.#summarize(code ?? signal)))
    })
  }

  /** What it has said, and from then on what it says. */
  show(): void {
    process.stdout.write(`\n== ${this.name} ==\n${this.#output}`)
    this.#shown = true
  }

  /** What mocha writes from its number of failures on (a check: its last lines); empty if nothing failed. */
  failures({ failing }: Result): string {
    if (failing === 0) return ''
    const start = this.#last('failing')?.index
    const text = start === undefined ? this.#output.slice(-MAX_FAILURES_CHARACTERS) : this.#output.slice(start)
    return `\n== ${this.name}: failures ==\n${text.slice(0, MAX_FAILURES_CHARACTERS)}\n`
  }

  /** Ends all that is left of it. */
  end(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#process
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, signal)
  }

  #summarize(end: number | string | null): Result {
    if (this.#holds === 'checks') return { passing: 0, failing: end === 0 ? 0 : 1 }
    const [passing, failing] = [this.#count('passing'), this.#count('failing') ?? 0]
    if (passing !== undefined && (end === 0 || failing > 0)) return { passing, failing }
    const text = `The lane "${this.name}" ended with ${end} before it told its result.\n`
    this.#output += text
    if (this.#shown) process.stdout.write(text)
    return { passing: passing ?? 0, failing: failing + 1 }
  }

  #count(what: string): number | undefined {
    const last = this.#last(what)
    return last === undefined ? undefined : Number(last[1])
  }

  /** As mocha says it last: "  12 passing (3s)", perhaps in colour. */
  #last(what: string): RegExpExecArray | undefined {
    return [...this.#output.matchAll(new RegExp(`^\\W*(?:\\[\\d+m\\W*)*(\\d+) ${what}\\b`, 'gm'))].at(-1)
  }
}

const lanes = LANES.map((lane) => new Lane(lane))
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const lane of lanes) lane.end(signal)
  })
}
const results: Result[] = []
for (const lane of lanes) {
  lane.show()
  results.push(await lane.result)
}
lanes.forEach((lane, index) => process.stdout.write(lane.failures(results[index]!)))
const sum = (what: keyof Result): number => results.reduce((total, result) => total + result[what], 0)
process.stdout.write(
  `\n== all ==\n  ${sum('passing')} passing\n${sum('failing') === 0 ? '' : `  ${sum('failing')} failing\n`}`,
)
process.exitCode = sum('failing') === 0 ? 0 : 1
