import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { connect, Server, type Connection } from '../../../proto/rpc/rpc.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'

function gate(): { until: Promise<void>; open: () => void; reached: () => void; asked: Promise<void> } {
  let open!: () => void
  let reached!: () => void
  return {
    until: new Promise((resolve) => (open = resolve)),
    asked: new Promise((resolve) => (reached = resolve)),
    open: () => open(),
    reached: () => reached(),
  }
}

describe('rpc', () => {
  let server: Server
  let connection: Connection
  const seen: string[] = []
  const stalled = gate()

  before(async () => {
    server = new Server({ address: '127.0.0.1:0' })
    server.add('Pods', {
      async *logs(request, call) {
        if (request.pod === 'none')
          throw new GantryError('NotFound', 'no pod none', {
            details: [{ field: 'pod', value: 'none', remedy: 'see gantry get pods' }],
          })
        for (let line = 0; ; line++) {
          if (call.signal.aborted) return void seen.push('aborted')
          yield { data: Buffer.from(`${line}\n`) }
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
      async *exec(inputs) {
        for await (const input of inputs) {
          if (input.input?.case === 'resize') {
            stalled.reached()
            await stalled.until
          }
          if (input.input?.case === 'stdin') yield { output: { case: 'stdout', value: input.input.value } }
        }
        yield { output: { case: 'exit', value: { code: 3, message: '' } } }
      },
      attach: () => assert.fail('not asked for'),
      portForward: () => assert.fail('not asked for'),
      copy: () => assert.fail('not asked for'),
    })
    connection = connect(await server.start())
  })

  after(async () => {
    connection.close()
    await server.stop()
  })

  it('carries a duplex call both ways', async () => {
    const inputs = (async function* () {
      yield { input: { case: 'start' as const, value: { pod: 'a', command: ['cat'] } } }
      yield { input: { case: 'stdin' as const, value: Buffer.from('hello') } }
    })()
    const outputs: string[] = []
    for await (const { output } of connection.client('Pods').exec(inputs)) {
      if (output?.case === 'stdout') outputs.push(Buffer.from(output.value).toString())
      if (output?.case === 'exit') outputs.push(`exit ${output.value.code}`)
    }
    assert.deepEqual(outputs, ['hello', 'exit 3'])
  })

  it('makes a caller wait who sends more than the handler takes', async () => {
    const total = 1_000
    let sent = 0
    const inputs = (async function* () {
      yield { input: { case: 'resize' as const, value: { width: 1, height: 1 } } }
      for (; sent < total; sent++) yield { input: { case: 'stdin' as const, value: Buffer.alloc(64 * 1024) } }
    })()
    let echoed = 0
    const done = (async () => {
      for await (const { output } of connection.client('Pods').exec(inputs))
        if (output?.case === 'stdout') echoed += output.value.length
    })()
    await stalled.asked
    // Nothing is taken now: what is sent comes to rest.
    for (let before = -1, quiet = 0; quiet < 200; quiet = sent === before ? quiet + 1 : 0) {
      before = sent
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(sent > 0 && sent < 200, `${sent} pieces of 64 KiB were sent`)
    stalled.open()
    await done
    assert.equal(echoed, total * 64 * 1024)
  })

  it('serves many calls at once without a warning', async () => {
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    try {
      const calls = Array.from({ length: 20 }, () =>
        connection.client('Pods').logs({ pod: 'a' })[Symbol.asyncIterator](),
      )
      await Promise.all(calls.map((call) => call.next()))
      await Promise.all(calls.map(async (call) => call.return?.()))
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('warning', note)
    }
    assert.deepEqual(warnings, [])
    while (seen.length < 20) await new Promise((resolve) => setImmediate(resolve))
    seen.length = 0
  })

  it('carries an error with code and details', async () => {
    await assert.rejects(
      async () => {
        for await (const _ of connection.client('Pods').logs({ pod: 'none' })) assert.fail('no message expected')
      },
      (error: GantryError) =>
        error.code === 'NotFound' &&
        error.message === 'no pod none' &&
        error.details[0]?.remedy === 'see gantry get pods',
    )
  })

  it('tells the handler when the caller goes away', async () => {
    let lines = 0
    for await (const { data } of connection.client('Pods').logs({ pod: 'a' })) {
      assert.equal(Buffer.from(data).toString(), `${lines}\n`)
      if (++lines === 5) break
    }
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(seen, ['aborted'])
  })

  it('tells whether a server can be reached before a call is made', async () => {
    await connection.ready(1_000)
    const none = connect('127.0.0.1:1')
    try {
      await assert.rejects(none.ready(1_000), { code: 'Unavailable', message: '127.0.0.1:1 cannot be connected to' })
      await assert.rejects(none.ready(1_000, AbortSignal.abort(new GantryError('Cancelled', 'stop'))), {
        code: 'Cancelled',
        message: 'stop',
      })
    } finally {
      none.close()
    }
    await assert.rejects(none.ready(1_000), { code: 'Unavailable', message: 'the connection to 127.0.0.1:1 is closed' })
  })

  it('ends the calls under way with a reason, and serves those after', async () => {
    let lines = 0
    await assert.rejects(
      (async () => {
        for await (const _ of connection.client('Pods').logs({ pod: 'a' }))
          if (++lines === 3) server.interrupt(new GantryError('Unavailable', 'cut off'))
      })(),
      { code: 'Unavailable', message: 'cut off' },
    )
    for await (const { data } of connection.client('Pods').logs({ pod: 'a' })) {
      assert.equal(Buffer.from(data).toString(), '0\n')
      break
    }
  })

  it('keeps an object through its bytes', () => {
    const bytes = encodeResource({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'a',
        namespace: 'default',
        uid: 'u',
        resourceVersion: '7',
        creationTimestamp: '2026-01-31T12:00:00Z',
      },
      spec: {
        containers: [
          {
            name: 'c',
            image: 'busybox',
            resources: { limits: { cpu: '100m' } },
            livenessProbe: {
              httpGet: { port: 'web', path: '/', scheme: 'HTTP' },
              timeoutSeconds: 1,
              periodSeconds: 10,
              successThreshold: 1,
              failureThreshold: 3,
            },
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
      status: { timeline: [{ step: 'accepted', time: '2026-01-31T12:00:00.125000Z' }] },
    } as never)
    const pod = decodeResource('Pod', bytes, '9')
    assert.equal(pod.metadata.resourceVersion, '9')
    assert.deepEqual(pod.spec.volumes, [{ name: 'v', emptyDir: {} }])
    assert.equal(pod.spec.containers[0]?.resources.limits?.cpu, '100m')
    assert.equal(pod.spec.containers[0]?.livenessProbe?.httpGet?.port, 'web')
    assert.equal(pod.status.timeline?.[0]?.time, '2026-01-31T12:00:00.125000Z')
  })
})
