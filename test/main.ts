/**
 * Runs every test (`npm test`), in lanes beside each other, because most tests mostly wait: for programs, for packets,
 * for a cluster to notice something. Within a lane one test file follows the other. The first lane's output is shown
 * as it comes, each other's when those before it have ended; at the end stand the sums of all, as mocha words them.
 * Arguments go to mocha. Ends with 1 if a test failed or a lane ended without telling its result, which counts as one
 * failure.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** The first two hold what has machines and real programs; the last one takes what no other names. */
const CLUSTERS = ['test/e2e/**/*.test.ts']
const MACHINES = ['test/integration/**/*.test.ts']
const except = (but: readonly string[]): string[] => but.flatMap((pattern) => ['--ignore', pattern])
const LANES: readonly { readonly name: string; readonly files: readonly string[] }[] = [
  { name: 'clusters', files: CLUSTERS },
  { name: 'machines, stores and programs', files: MACHINES },
  { name: 'parts', files: ['test/**/*.test.ts', ...except([...CLUSTERS, ...MACHINES])] },
]
const ROOT = join(import.meta.dirname, '..')
const MOCHA = join(ROOT, 'node_modules/mocha/bin/mocha.js')

interface Result {
  readonly passing: number
  readonly failing: number
}

class Lane {
  readonly name: string
  readonly result: Promise<Result>
  readonly #process: ChildProcess
  #output = ''
  #shown = false

  constructor({ name, files }: (typeof LANES)[number], args: readonly string[]) {
    this.name = name
    // A process group of its own: mocha runs the tests in a child, and does not pass signals on to it.
    const child = spawn(process.execPath, [MOCHA, ...files, ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
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

  /** Ends all that is left of it. */
  end(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#process
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, signal)
  }

  #summarize(end: number | string | null): Result {
    const [passing, failing] = [this.#count('passing'), this.#count('failing') ?? 0]
    if (passing !== undefined && (end === 0 || failing > 0)) return { passing, failing }
    const text = `The lane "${this.name}" ended with ${end} before it told its result.\n`
    this.#output += text
    if (this.#shown) process.stdout.write(text)
    return { passing: passing ?? 0, failing: failing + 1 }
  }

  /** As mocha says it last: "  12 passing (3s)", perhaps in colour. */
  #count(what: string): number | undefined {
    const last = [...this.#output.matchAll(new RegExp(`^\\W*(?:\\[\\d+m\\W*)*(\\d+) ${what}\\b`, 'gm'))].at(-1)
    return last === undefined ? undefined : Number(last[1])
  }
}

const colour = process.stdout.isTTY ? ['--color'] : []
const lanes = LANES.map((lane) => new Lane(lane, [...colour, ...process.argv.slice(2)]))
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
const sum = (what: keyof Result): number => results.reduce((total, result) => total + result[what], 0)
process.stdout.write(
  `\n== all ==\n  ${sum('passing')} passing\n${sum('failing') === 0 ? '' : `  ${sum('failing')} failing\n`}`,
)
process.exitCode = sum('failing') === 0 ? 0 : 1
