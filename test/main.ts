/**
 * Checks the types and the rules and runs every test (`npm test`), in lanes beside each other, because most tests
 * mostly wait: for programs, for packets, for a cluster to notice something. Within a lane one test file follows the
 * other. The first lane's output is shown as it comes, each other's when those before it have ended; at the end stand
 * the sums of all, as mocha words them. Arguments go to mocha. Ends with 1 if a test failed or a lane ended without
 * telling its result, which counts as one failure; at once if the types or the rules are not kept.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** The files of each lane are about as long in all; the last one takes what no other names. */
const CLIENTS = ['test/e2e/kubernetes*.test.ts', 'test/e2e/shop.test.ts', 'test/e2e/package.test.ts']
const FAULTS = ['test/integration/rig-faults-*.test.ts']
const CLUSTERS = ['test/e2e/**/*.test.ts']
const MACHINES = ['test/integration/**/*.test.ts']
const except = (but: readonly string[]): string[] => but.flatMap((pattern) => ['--ignore', pattern])
const LANES: readonly { readonly name: string; readonly files: readonly string[] }[] = [
  { name: "clusters by Kubernetes' clients, and faults", files: [...CLIENTS, ...FAULTS] },
  { name: 'clusters', files: [...CLUSTERS, ...except(CLIENTS)] },
  { name: 'machines, stores and programs', files: [...MACHINES, ...except(FAULTS)] },
  { name: 'parts', files: ['test/**/*.test.ts', ...except([...CLUSTERS, ...MACHINES])] },
]
const ROOT = join(import.meta.dirname, '..')
const MOCHA = join(ROOT, 'node_modules/mocha/bin/mocha.js')

interface Result {
  readonly passing: number
  readonly failing: number
}

interface LaneParts {
  readonly name: string
  readonly command: readonly string[]
  /** What its end and its output say. */
  readonly judge: (end: number | string | null, output: string) => Result & { readonly remark?: string }
}

class Lane {
  readonly name: string
  readonly result: Promise<Result>
  readonly #process: ChildProcess
  readonly #judge: LaneParts['judge']
  #output = ''
  #shown = false

  constructor({ name, command, judge }: LaneParts) {
    this.name = name
    this.#judge = judge
    // A process group of its own: mocha runs the tests in a child, and does not pass signals on to it.
    const child = spawn(command[0]!, command.slice(1), { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
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
    const { remark = '', ...result } = this.#judge(end, this.#output)
    this.#output += remark
    if (this.#shown) process.stdout.write(remark)
    return result
  }
}

/** Of a run of mocha. */
function judgeTests(end: number | string | null, output: string): ReturnType<LaneParts['judge']> {
  const [passing, failing] = [countOf('passing', output), countOf('failing', output) ?? 0]
  if (passing !== undefined && (end === 0 || failing > 0)) return { passing, failing }
  const remark = `The lane ended with ${end} before it told its result.\n`
  return { passing: passing ?? 0, failing: failing + 1, remark }
}

/** As mocha says it last: "  12 passing (3s)", perhaps in colour. */
function countOf(what: string, output: string): number | undefined {
  const last = [...output.matchAll(new RegExp(`^\\W*(?:\\[\\d+m\\W*)*(\\d+) ${what}\\b`, 'gm'))].at(-1)
  return last === undefined ? undefined : Number(last[1])
}

const colour = process.stdout.isTTY ? ['--color'] : []
const checks = new Lane({
  name: 'types and rules',
  command: ['bash', 'test/static'],
  judge: (end) => ({ passing: 0, failing: end === 0 ? 0 : 1 }),
})
const lanes = [
  checks,
  ...LANES.map(
    ({ name, files }) =>
      new Lane({
        name,
        command: [process.execPath, MOCHA, ...files, ...colour, ...process.argv.slice(2)],
        judge: judgeTests,
      }),
  ),
]
function endAll(signal: NodeJS.Signals): void {
  for (const lane of lanes) lane.end(signal)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => endAll(signal))
checks.show()
if ((await checks.result).failing > 0) endAll('SIGTERM')
const results = [await checks.result]
for (const lane of lanes.slice(1)) {
  lane.show()
  results.push(await lane.result)
}
const sum = (what: keyof Result): number => results.reduce((total, result) => total + result[what], 0)
process.stdout.write(
  `\n== all ==\n  ${sum('passing')} passing\n${sum('failing') === 0 ? '' : `  ${sum('failing')} failing\n`}`,
)
process.exitCode = sum('failing') === 0 ? 0 : 1
