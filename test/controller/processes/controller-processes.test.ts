import assert from 'node:assert/strict'
import cluster, { type Worker } from 'node:cluster'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { ControllerProcesses } from '../../../controller/processes/controller-processes.ts'
import { ASSIGNMENT } from '../../../controller/processes/member-process.ts'
import { until } from '../../eventually.ts'

/** Serves at once, unless it is one that does not start; told to end, it waits until the test lets it. */
const MEMBER = `
const { number } = JSON.parse(process.env.${ASSIGNMENT})
if (number === 'broken') process.exit(3)
process.once('SIGTERM', () => process.send({ say: 'ending', number }))
process.on('message', (message) => message === 'end' && process.exit(0))
process.send({ say: 'ready', number })
`

describe('processes of a controller', () => {
  let folder: string
  let clock: FakeClock
  let stop: AbortController
  let processes: ControllerProcesses
  let running: Promise<void>
  /** What was said, in its order, such as "ready 0", and how processes ended. */
  let said: string[]
  let assigned: number[]
  let broken: boolean

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-processes-'))
    const exec = join(folder, 'member.cjs')
    await writeFile(exec, MEMBER)
    cluster.setupPrimary({ exec, execArgv: [] })
  })

  after(() => rm(folder, { recursive: true }))

  const hear = (_: Worker, { say, number }: { say: string; number: number }): void => void said.push(`${say} ${number}`)
  const seeEnd = (_: Worker, code: number, signal: string): void => void said.push(`end ${signal ?? code}`)
  const count = (what: RegExp): number => said.filter((one) => what.test(one)).length

  beforeEach(() => {
    said = []
    assigned = []
    broken = false
    clock = new FakeClock()
    stop = new AbortController()
    cluster.on('message', hear).on('exit', seeEnd)
    processes = new ControllerProcesses({
      serve: 1,
      assign(number, role) {
        assigned.push(number)
        const nats = { servers: [], token: undefined }
        const toldNumber = broken ? 'broken' : number
        const assignment = { name: 'c1', role, address: '', etcd: [], nameIsOurs: true, nats, number: toldNumber }
        return assignment
      },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
    })
    running = processes.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    for (const worker of Object.values(cluster.workers!)) worker!.process.kill('SIGKILL')
    await running.catch(() => undefined)
    cluster.off('message', hear).off('exit', seeEnd)
  })

  /** Lets go those that were told to end. */
  function letEnd(): void {
    for (const worker of Object.values(cluster.workers!)) if (worker!.isConnected()) worker!.send('end')
  }

  async function turns(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  it('lets one that is replaced finish what it does, also when all are to end meanwhile', async () => {
    await until('both serve', () => count(/^ready/) === 2)
    void processes.replaceAll()
    await until('the first has a successor and is told to end', () => count(/^ready 2/) + count(/^ending 0/) === 2)
    stop.abort()
    await until('all are told to end', () => count(/^ending/) === 3)
    assert.equal(count(/^end /), 0, said.join(', '))
    letEnd()
    await running
    assert.deepEqual(
      said.filter((one) => one.startsWith('end ')),
      ['end 0', 'end 0', 'end 0'],
    )
  })

  it('has one process for a place whose process ends just before it is replaced', async () => {
    await until('both serve', () => count(/^ready/) === 2)
    const [first, second] = Object.values(cluster.workers!)
    first!.process.kill('SIGKILL')
    await until('it has ended', () => count(/^end SIGKILL/) === 1)
    // Its place waits for another try, and the clock stands still.
    const replaced = processes.replaceAll()
    await until('the second is told to end', () => count(/^ending 1/) === 1)
    second!.send('end')
    await replaced
    await clock.advance(60_000)
    await turns()
    assert.deepEqual(assigned, [0, 1, 0, 2])
    assert.equal(Object.keys(cluster.workers!).length, 2)
  })

  it('gives up where processes end again and again before they serve', async () => {
    await until('both serve', () => count(/^ready/) === 2)
    broken = true
    Object.values(cluster.workers!)[0]!.process.kill('SIGKILL')
    const ended = assert.rejects(running, { code: 'FailedPrecondition', message: /does not start: exit code 3$/ })
    for (let failed = 0; failed < 5; failed++) {
      await until('it has ended', () => count(/^end /) === 1 + failed)
      await turns()
      await clock.advance(10_000)
    }
    await until('all is to end', () => count(/^ending/) === 1)
    letEnd()
    await ended
    assert.equal(assigned.length, 2 + 5)
  })
})
