import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRecorded, isRunning, type ProcessRecord } from '../../controller/supervise/process-record.ts'
import { createAuthority, issue } from '../../deploy/ca.ts'
import { connect, type Connection } from '../../proto/rpc/rpc.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { startController, type ControllerProgram } from './controller-program.ts'
import { freePorts } from './free-port.ts'
import { until } from '../eventually.ts'

describe('the controller program', function () {
  this.timeout(150_000)
  let dir: string
  let address: string
  let natsPort: number
  let connection: Connection
  let controller: ControllerProgram | undefined

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gantry-main-'))
    const now = Date.now()
    const authority = await createAuthority('test', now)
    const server = await issue(
      authority,
      { commonName: 'gantry-controller', hosts: ['127.0.0.1', 'gantry-controller'] },
      now,
    )
    const [port = 0, nats = 0] = await freePorts(2)
    address = `127.0.0.1:${port}`
    natsPort = nats
    for (const [name, text] of Object.entries({
      'ca.crt': authority.cert,
      'server.crt': server.cert,
      'server.key': server.key,
    }))
      await writeFile(join(dir, name), text, { mode: 0o600 })
    const file = (name: string): string => JSON.stringify(join(dir, name))
    await writeFile(
      join(dir, 'config.yaml'),
      `{ name: c1, listen: "${address}", kubeListen: "127.0.0.1:0", dataDir: ${file('data')}, tls: { ca: ${file('ca.crt')}, cert: ${file('server.crt')}, key: ${file('server.key')} }, ports: { nats: ${nats} } }`,
    )
    const admin = await issue(authority, { commonName: 'anna', organizations: ['system:masters'] }, now)
    connection = connect(address, { ca: authority.cert, cert: admin.cert, key: admin.key })
  })

  afterEach(async () => {
    controller?.process.kill('SIGKILL')
    await controller?.ended
    for (const record of await children()) await until('what it ran is gone', async () => !(await isRunning(record)))
  })

  after(async () => {
    connection.close()
    await rm(dir, { recursive: true, force: true })
  })

  function start(env?: NodeJS.ProcessEnv): ControllerProgram {
    return (controller = startController(join(dir, 'config.yaml'), env))
  }

  async function children(): Promise<ProcessRecord[]> {
    const found = await Promise.all(
      ['etcd', 'nats'].map((name) => findRecorded(join(dir, 'data', name, `${name}.process`))),
    )
    return found.filter((record) => record !== undefined)
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
    const ran = await children()
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
    const before = await children()
    controller!.process.kill('SIGKILL')
    await controller!.ended
    start()
    await serving()
    const after = await children()
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
    start({ ...process.env, PATH: dir })
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
      assert.deepEqual(await children(), [])
    } finally {
      await new Promise((resolve) => stranger.close(resolve))
    }
  })

  it('ends on SIGTERM while it starts', async () => {
    start()
    await until('etcd is starting', async () => (await children()).length > 0)
    controller!.process.kill('SIGTERM')
    assert.equal(await controller!.ended, 0, controller!.output)
    assert.equal(
      (await readFile(join(dir, 'data', 'controller.process'), 'utf8')).split(' ')[0],
      String(controller!.process.pid),
    )
  })
})
