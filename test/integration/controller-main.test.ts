import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { isRunning } from '../../controller/supervise/process-record.ts'
import type { Connection } from '../../proto/rpc/rpc.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { ControllerHome } from './controller-home.ts'
import { startController, type ControllerProgram } from './controller-program.ts'
import { freePorts } from './free-port.ts'
import { until } from '../eventually.ts'

describe('the controller program', function () {
  this.timeout(150_000)
  let home: ControllerHome
  let natsPort: number
  let connection: Connection
  let controller: ControllerProgram | undefined

  before(async () => {
    const [port = 0, nats = 0] = await freePorts(2)
    natsPort = nats
    home = await ControllerHome.make(port, `kubeListen: "127.0.0.1:0", ports: { nats: ${nats} }`)
    connection = home.connect()
  })

  afterEach(async () => {
    controller?.process.kill('SIGKILL')
    await controller?.ended
    for (const record of await home.children())
      await until('what it ran is gone', async () => !(await isRunning(record)))
  })

  after(async () => {
    connection.close()
    await home.remove()
  })

  function start(env?: NodeJS.ProcessEnv): ControllerProgram {
    return (controller = startController(home.config, env))
  }

  const serving = (): Promise<void> =>
    until(
      'it serves',
      async () => {
        if (controller?.process.exitCode !== null) throw new Error(`it has ended: ${controller?.output}`)
        try {
          return (await connection.client('Cluster').version({}, { timeout: 500 })).leader === 'c1'
        } catch (thrown) {
          if (GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) return false
          throw thrown
        }
      },
      60_000,
    )

  it('ends after SIGTERM though watches are open, with all that it ran', async () => {
    start()
    await serving()
    const client = connection.client('Resources')
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'waits', namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'busybox' }] },
    }
    await client.apply({
      ref: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'waits' },
      configuration: JSON.stringify(pod),
      options: { fieldManager: 'test' },
    })
    const seen: string[] = []
    const watches = ['Pod', 'Node'].map(async (kind) => {
      for await (const { type } of client.watch({ apiVersion: 'v1', kind })) seen.push(`${kind} ${type}`)
    })
    const over = Promise.allSettled(watches)
    await until('the watches are open', () => seen.includes('Pod BOOKMARK') && seen.includes('Node BOOKMARK'))
    const ran = await home.children()
    assert.equal(ran.length, 2)

    controller!.process.kill('SIGTERM')
    assert.equal(await controller!.ended, 0, controller!.output)
    for (const record of ran) assert.equal(await isRunning(record), false)
    for (const { status, reason } of (await over) as PromiseRejectedResult[]) {
      assert.equal(status, 'rejected')
      assert.equal((reason as GantryError).code, 'Unavailable')
    }
  })

  it('finds its objects again after SIGKILL, and replaces what it left', async () => {
    start()
    await serving()
    const before = await home.children()
    controller!.process.kill('SIGKILL')
    await controller!.ended
    start()
    await serving()
    const after = await home.children()
    assert.equal(after.length, 2)
    for (const record of before) assert.equal(await isRunning(record), false)
    const { items } = await connection.client('Resources').list({ apiVersion: 'v1', kind: 'Pod' })
    assert.equal(items.length, 1)
  })

  it('is the only one on its data directory', async () => {
    const first = start()
    await serving()
    const second = start()
    controller = first
    assert.equal(await second.ended, 1)
    assert.match(
      second.output,
      /the data directory .* is used by the controller with process id \d+; stop that controller/,
    )
    assert.equal((await connection.client('Cluster').version({}, { timeout: 20_000 })).controller, 'c1')
  })

  it('ends with 1 and the reason when a program is missing', async () => {
    start({ ...process.env, PATH: home.dir })
    assert.equal(await controller!.ended, 1)
    assert.match(
      controller!.output,
      /gantry-controller: etcd is not installed: no program etcd on PATH; install the package etcd-server/,
    )
  })

  it("ends with 1 and the reason when a stranger has NATS's port", async () => {
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(natsPort, '127.0.0.1', resolve))
    try {
      start()
      assert.equal(await controller!.ended, 1)
      assert.match(
        controller!.output,
        new RegExp(
          `gantry-controller: nats cannot be started: port ${natsPort} on 127.0.0.1 is used by another process`,
        ),
      )
      assert.deepEqual(await home.children(), [])
    } finally {
      await new Promise((resolve) => stranger.close(resolve))
    }
  })

  it('ends on SIGTERM while it starts', async () => {
    start()
    await until('etcd is starting', async () => (await home.children()).length > 0)
    controller!.process.kill('SIGTERM')
    assert.equal(await controller!.ended, 0, controller!.output)
    assert.equal(
      (await readFile(join(home.dir, 'data', 'controller.process'), 'utf8')).split(' ')[0],
      String(controller!.process.pid),
    )
  })
})
