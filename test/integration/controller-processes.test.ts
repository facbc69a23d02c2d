import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { isRunning } from '../../controller/supervise/process-record.ts'
import type { Connection } from '../../proto/rpc/rpc.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { eventually, until } from '../eventually.ts'
import { ControllerHome } from './controller-home.ts'
import { startController, type ControllerProgram } from './controller-program.ts'
import { freePortRange, freePorts } from './free-port.ts'

/** One that may lead, two that serve. */
const PROCESSES = 3
const NAMESPACE = '/api/v1/namespaces/default'

describe('a controller of several processes', function () {
  this.timeout(150_000)
  let home: ControllerHome
  let kubePort: number
  let controller: ControllerProgram

  before(async () => {
    const [port = 0, kube = 0, nats = 0] = await freePorts(3)
    kubePort = kube
    const first = await freePortRange(PROCESSES + 1)
    const ports = `ports: { nats: ${nats}, processes: ${first} }`
    home = await ControllerHome.make(port, `kubeListen: "127.0.0.1:${kube}", serve: 2, ${ports}`)
    controller = startController(home.config)
    await until('all serve', async () => (await members()).size === PROCESSES - 1 && (await whoLeads()) !== '', 60_000)
  })

  after(async () => {
    controller.process.kill('SIGKILL')
    await controller.ended
    for (const record of await home.children())
      await until('what it ran is gone', async () => !(await isRunning(record)))
    await home.remove()
  })

  /** On a connection of its own, so that another process may answer each time. */
  async function ask<T>(question: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = home.connect()
    try {
      return await question(connection)
    } finally {
      connection.close()
    }
  }

  const version = (): Promise<{ controller: string; leader: string }> =>
    ask((connection) => connection.client('Cluster').version({}, { timeout: 2_000 }))

  /** Names of the processes that answer; empty while none does. */
  async function members(): Promise<Set<string>> {
    if (controller.process.exitCode !== null) throw new Error(`it has ended: ${controller.output}`)
    const answers = await Promise.allSettled(Array.from({ length: 8 }, version))
    return new Set(answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.controller] : [])))
  }

  async function whoLeads(): Promise<string> {
    try {
      return (await version()).leader
    } catch (thrown) {
      if (GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) return ''
      throw thrown
    }
  }

  /** The status code and the text, on a new connection or one that is kept. */
  function get(path: string, agent: Agent | false = false): Promise<{ code: number; text: string }> {
    const { cert, key } = home.admin
    return new Promise((resolve, reject) => {
      request(
        { host: '127.0.0.1', port: kubePort, path, agent, cert, key, ca: home.authority, checkServerIdentity },
        (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          response.on('end', () => resolve({ code: response.statusCode!, text }))
          response.on('error', reject)
        },
      )
        .on('error', reject)
        .end()
    })
  }

  const checkServerIdentity = (): undefined => undefined

  /** Processes of the system that the first one has started and that are alive. */
  async function memberPids(): Promise<number[]> {
    const { pid } = controller.process
    const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').map(Number)
    const lines = await Promise.all(children.map((child) => readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')))
    return children.filter((_, index) => lines[index]!.includes('gantry-controller'))
  }

  it('is served by all that serve and led by the one that does not', async () => {
    const serving = await eventually(async () => {
      const found = await members()
      return found.size === PROCESSES - 1 && found
    })
    assert.deepEqual([...serving].sort(), ['c1-1', 'c1-2'])
    assert.equal(await whoLeads(), 'c1-0')
  })

  it('shows through any of them what was written through another', async () => {
    for (let index = 0; index < 20; index++) {
      const name = `written-${index}`
      const configuration = JSON.stringify({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
      })
      const ref = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name }
      await ask((connection) =>
        connection.client('Resources').apply({ ref, configuration, options: { fieldManager: 'test' } }),
      )
      assert.equal((await get(`${NAMESPACE}/configmaps/${name}`)).code, 200)
    }
  })

  it('has one set of numbers', async () => {
    const count = async (): Promise<number> => {
      const { text } = await get('/metrics')
      return Number(/^apiserver_request_total\{verb="GET".*resource="namespaces".* (\d+)$/m.exec(text)?.[1] ?? 0)
    }
    const before = await count()
    for (let index = 0; index < 10; index++) assert.equal((await get(NAMESPACE)).code, 200)
    assert.equal(await count(), before + 10)
    const { text } = await get('/metrics')
    const started = Number(/^process_start_time_seconds (\S+)$/m.exec(text)![1])
    assert.ok(Math.abs(started - Date.now() / 1000) < 3_600, 'the time of its start is no sum')
  })

  it('starts another where one was killed', async () => {
    const [before, leader] = [await memberPids(), await whoLeads()]
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await until('others serve', async () => {
      const now = await memberPids()
      return now.length === PROCESSES && now.every((pid) => !before.includes(pid)) && (await members()).size === 2
    })
    await until('one leads', async () => (await whoLeads()) === leader)
  })

  it('is replaced process by process without a connection refused', async () => {
    const before = await memberPids()
    let done = false
    const codes = new Set<number>()
    const asking = (async () => {
      while (!done) codes.add((await get(NAMESPACE)).code)
    })()
    // As `pkill -HUP gantry-controller` does: it means the first process and reaches all.
    for (const pid of before) process.kill(pid, 'SIGHUP')
    controller.process.kill('SIGHUP')
    try {
      await until('all are others', async () => {
        const now = await memberPids()
        return now.length === PROCESSES && now.every((pid) => !before.includes(pid))
      })
    } finally {
      done = true
    }
    await asking
    assert.deepEqual([...codes], [200])
    await until('one leads', async () => (await whoLeads()) !== '')
  })

  it('leaves nothing when its first process is killed', async () => {
    const [pids, ran] = [await memberPids(), await home.children()]
    assert.deepEqual([pids.length, ran.length], [PROCESSES, 2])
    controller.process.kill('SIGKILL')
    await controller.ended
    await until('its processes are gone', () => pids.every((pid) => !isAlive(pid)))
    for (const record of ran) await until('what it ran is gone', async () => !(await isRunning(record)))
  })

  it('starts again, and ends with all that it ran after SIGTERM', async () => {
    controller = startController(home.config)
    await until('it serves', async () => (await members()).size === PROCESSES - 1, 60_000)
    const [pids, ran] = [await memberPids(), await home.children()]
    controller.process.kill('SIGTERM')
    assert.equal(await controller.ended, 0, controller.output)
    for (const pid of pids) assert.equal(isAlive(pid), false)
    for (const record of ran) assert.equal(await isRunning(record), false)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
