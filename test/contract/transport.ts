/** What every transport of calls must do (proto/rpc/contract.ts); run for each implementation. */
import assert from 'node:assert/strict'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import type { ExecInput, LogsRequest, WhyRequest } from '../../proto/gen/types.ts'
import type { AuthorizeCall, CallContext, Connection, RpcServer } from '../../proto/rpc/contract.ts'
import { until } from '../eventually.ts'

export interface TransportFixture {
  server(authorize?: AuthorizeCall): RpcServer
  connect(address: string): Connection
  /** Where nobody listens. */
  readonly nowhere: string
}

const fails = (code: ErrorCode, message?: string) => (thrown: unknown) =>
  GantryError.is(thrown, code) && (message === undefined || thrown.message === message)

/** A caller who sends one message after the other as they are given, and then no more. */
async function* sending(...messages: string[]): AsyncGenerator<ExecInput, void, undefined> {
  for (const message of messages) yield { input: { case: 'stdin', value: Buffer.from(message) } }
}

/** Messages that never end: what else ends the call is to be seen. */
async function* forever(): AsyncGenerator<ExecInput, void, undefined> {
  yield* sending('first')
  await new Promise(() => undefined)
}

async function texts(
  outputs: AsyncIterable<{ output?: { case: string; value: unknown } | undefined }>,
): Promise<string[]> {
  const seen: string[] = []
  for await (const { output } of outputs)
    seen.push(output?.case === 'stdout' ? Buffer.from(output.value as Uint8Array).toString() : String(output?.case))
  return seen
}

/** The handlers of this suite: they do what they are asked by the name of the pod, and note what becomes of calls. */
class Subject {
  readonly notes: string[] = []
  /** Lets handlers go on that stand still. */
  release: () => void = () => undefined
  readonly #released = new Promise<void>((resolve) => (this.release = resolve))
  readonly kept: object[] = []

  #note({ signal }: CallContext): void {
    const note = (): void => void this.notes.push(`aborted: ${(signal.reason as Error).message}`)
    if (signal.aborted) note()
    else signal.addEventListener('abort', note, { once: true })
  }

  async *logs({ pod }: LogsRequest, call: CallContext): AsyncGenerator<{ data: Buffer }, void, undefined> {
    this.#note(call)
    if (pod === 'none')
      throw new GantryError('NotFound', 'no pod none', {
        details: [{ field: 'pod', value: 'none', remedy: 'see gantry get pods' }],
      })
    if (pod === 'defect') throw new TypeError('undefined is not a function')
    yield { data: Buffer.from(`${call.user.name} ${/^(.*):\d+$/.test(call.peer)}`) }
    for (let line = 0; pod !== 'silent'; line++) {
      if (call.signal.aborted) return
      yield { data: Buffer.from(`${line}\n`) }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  async *exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<never, void, undefined> {
    this.#note(call)
    this.notes.push('begun')
    for await (const { input } of inputs) {
      if (input?.case === 'resize') {
        this.notes.push('stands')
        await this.#released
      }
      if (input?.case === 'stdin') yield { output: { case: 'stdout', value: input.value } } as never
    }
    this.notes.push('requests ended')
    yield { output: { case: 'exit', value: { code: 3, message: '' } } } as never
  }

  async why(request: WhyRequest): Promise<{ summary: string }> {
    this.kept.push(request)
    if (request.pod === 'stands') await this.#released
    if (request.pod === 'odd') return null as never
    return { summary: `${request.namespace}/${request.pod}` }
  }
}

export function transportSuite(make: () => TransportFixture | Promise<TransportFixture>): void {
  let fixture: TransportFixture
  let subject: Subject
  let server: RpcServer
  let connection: Connection
  let refused: string[]

  const pods = (): ReturnType<typeof connection.client<'Pods'>> => connection.client('Pods')
  const cluster = (): ReturnType<typeof connection.client<'Cluster'>> => connection.client('Cluster')

  beforeEach(async () => {
    fixture = await make()
    subject = new Subject()
    refused = []
    server = fixture.server((service) => {
      if (refused.includes(service)) throw new GantryError('Forbidden', `not ${service}`)
    })
    const none = (): never => assert.fail('not asked for')
    server.add('Pods', {
      logs: (request, call) => subject.logs(request, call),
      exec: (inputs, call) => subject.exec(inputs, call),
      attach: none,
      portForward: none,
      copy: none,
    })
    server.add('Cluster', {
      why: (request: WhyRequest) => subject.why(request),
      version: none,
      events: none,
      netCheck: none,
      netCheckNode: none,
      nodeUsage: none,
      nodePage: none,
      networkConfirmed: none,
    } as never)
    connection = fixture.connect(await server.start())
  })

  afterEach(async () => {
    subject.release()
    connection.close()
    await server.stop()
  })

  it('carries a question and its answer, and shares nothing by reference', async () => {
    const request = { namespace: 'a', pod: 'b' }
    assert.equal((await cluster().why(request)).summary, 'a/b')
    assert.deepEqual(subject.kept, [request])
    assert.notEqual(subject.kept[0], request)
  })

  it('carries a duplex call both ways', async () => {
    assert.deepEqual(await texts(pods().exec(sending('hello', 'world'))), ['hello', 'world', 'exit'])
  })

  it('does not change a message that its sender changes after it was sent', async () => {
    const buffer = Buffer.from('before')
    const inputs = (async function* (): AsyncGenerator<ExecInput, void, undefined> {
      yield { input: { case: 'stdin', value: buffer } }
      buffer.fill('x')
    })()
    assert.deepEqual(await texts(pods().exec(inputs)), ['before', 'exit'])
  })

  it('makes a caller wait who sends more than the handler takes', async () => {
    const total = 300
    let sent = 0
    const inputs = (async function* (): AsyncGenerator<ExecInput, void, undefined> {
      yield { input: { case: 'resize', value: { width: 1, height: 1 } } }
      for (; sent < total; sent++) yield { input: { case: 'stdin', value: Buffer.alloc(64 * 1024) } }
    })()
    let echoed = 0
    const done = (async () => {
      for await (const { output } of pods().exec(inputs)) if (output?.case === 'stdout') echoed += output.value.length
    })()
    await until('the handler stands still', () => subject.notes.includes('stands'))
    // Nothing is taken now: what is sent comes to rest.
    for (let before = -1, quiet = 0; quiet < 100; quiet = sent === before ? quiet + 1 : 0) {
      before = sent
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(sent > 0 && sent < 200, `${sent} pieces of 64 KiB were sent`)
    subject.release()
    await done
    assert.equal(echoed, total * 64 * 1024)
  })

  it('serves many calls at once without a warning', async () => {
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    try {
      const calls = Array.from({ length: 20 }, () => pods().logs({ pod: 'a' })[Symbol.asyncIterator]())
      await Promise.all(calls.map((call) => call.next()))
      await Promise.all(calls.map(async (call) => call.return?.()))
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('warning', note)
    }
    assert.deepEqual(warnings, [])
    await until('all handlers know', () => subject.notes.length === 20)
  })

  it('carries an error with code, message and details', async () => {
    await assert.rejects(
      texts(pods().logs({ pod: 'none' }) as never),
      (thrown: unknown) =>
        fails('NotFound', 'no pod none')(thrown) &&
        (thrown as GantryError).details[0]?.remedy === 'see gantry get pods',
    )
    await assert.rejects(
      texts(pods().logs({ pod: 'defect' }) as never),
      fails('Internal', 'undefined is not a function'),
    )
  })

  it('refuses calls that are not authorized, and services that are not served', async () => {
    refused.push('Cluster')
    await assert.rejects(cluster().why({ pod: 'a' }), fails('Forbidden', 'not Cluster'))
    await assert.rejects(connection.client('Resources').list({ kind: 'Pod' } as never), fails('Unsupported'))
    refused.length = 0
    assert.equal((await cluster().why({ namespace: 'a', pod: 'b' })).summary, 'a/b')
  })

  it('tells the handler when its caller iterates no further', async () => {
    let lines = -1
    for await (const { data } of pods().logs({ pod: 'a' })) {
      if (lines >= 0) assert.equal(Buffer.from(data).toString(), `${lines}\n`)
      if (++lines === 5) break
    }
    await until('the handler knows', () => subject.notes.length > 0)
    assert.deepEqual(subject.notes, ['aborted: the caller went away'])
  })

  it('tells the caller at once that a call is given up, with the reason, and the handler', async () => {
    const given = new AbortController()
    const call = texts(pods().exec(forever(), { signal: given.signal }))
    await new Promise((resolve) => setImmediate(resolve))
    given.abort(new GantryError('ResourceExhausted', 'enough'))
    await assert.rejects(call, fails('ResourceExhausted', 'enough'))
    const stands = cluster().why({ pod: 'stands' }, { signal: AbortSignal.timeout(20) })
    await assert.rejects(stands, fails('Cancelled', 'the call was given up'))
    const before = AbortSignal.abort(new GantryError('Cancelled', 'before it began'))
    await assert.rejects(cluster().why({ pod: 'a' }, { signal: before }), fails('Cancelled', 'before it began'))
    await assert.rejects(texts(pods().exec(forever(), { signal: before })), fails('Cancelled', 'before it began'))
  })

  it('ends a call at its deadline, for both sides', async () => {
    await assert.rejects(texts(pods().logs({ pod: 'silent' }, { timeout: 50 }) as never), fails('DeadlineExceeded'))
    await until('the handler knows', () => subject.notes.length > 0)
    await assert.rejects(
      cluster().why({ pod: 'stands' }, { timeout: 20 }),
      (thrown: unknown) => GantryError.is(thrown, 'DeadlineExceeded') && / s have passed$/.test(thrown.message),
    )
  })

  it('ends the call when the caller cannot say what it wants to', async () => {
    const inputs = (async function* (): AsyncGenerator<ExecInput, void, undefined> {
      yield* sending('first')
      await until('the handler has begun', () => subject.notes.includes('begun'))
      throw new GantryError('NotFound', 'no such file')
    })()
    await assert.rejects(texts(pods().exec(inputs)), fails('NotFound', 'no such file'))
    await until('the handler knows', () => subject.notes.includes('aborted: the caller went away'))
    await assert.rejects(cluster().why(null as never), fails('Internal'))
    await assert.rejects(cluster().why({ pod: 'odd' }), fails('Internal'))
  })

  it('hands out its own end of a call that the handler ends first', async () => {
    await assert.rejects(
      (async () => {
        for await (const _ of pods().logs({ pod: 'silent' }))
          server.interrupt(new GantryError('Unavailable', 'cut off'))
      })(),
      fails('Unavailable', 'cut off'),
    )
    for await (const { data } of pods().logs({ pod: 'a' })) {
      assert.equal(Buffer.from(data).toString().endsWith('true'), true)
      break
    }
  })

  it('tells whether a server can be reached before a call is made', async () => {
    await connection.ready(5_000)
    const none = fixture.connect(fixture.nowhere)
    try {
      await assert.rejects(none.ready(5_000), fails('Unavailable', `${fixture.nowhere} cannot be connected to`))
      await assert.rejects(
        none.ready(5_000, AbortSignal.abort(new GantryError('Cancelled', 'stop'))),
        fails('Cancelled', 'stop'),
      )
      await assert.rejects(none.client('Cluster').why({ pod: 'a' }), fails('Unavailable'))
    } finally {
      none.close()
    }
    await assert.rejects(none.ready(5_000), fails('Unavailable', `the connection to ${fixture.nowhere} is closed`))
  })

  it('tells once that the connection is lost, and connects again', async () => {
    let lost = 0
    connection.onLost(() => lost++)
    assert.equal(lost, 1, 'it is not connected yet')
    await connection.ready(5_000)
    connection.onLost(() => lost++)
    const call = pods().logs({ pod: 'silent' })[Symbol.asyncIterator]()
    await call.next()
    await server.stop()
    await assert.rejects(call.next(), fails('Unavailable', 'the server is stopping'))
    await until('it is told', () => lost === 2)
    await assert.rejects(cluster().why({ pod: 'a' }), fails('Unavailable'))
  })

  it('answers what is under way when the server stops, and ends streams at once', async () => {
    const stream = pods().logs({ pod: 'silent' })[Symbol.asyncIterator]()
    await stream.next()
    const call = cluster().why({ namespace: 'a', pod: 'stands' })
    await until('it is asked', () => subject.kept.length === 1)
    const stopped = server.stop()
    await assert.rejects(stream.next(), fails('Unavailable', 'the server is stopping'))
    subject.release()
    assert.equal((await call).summary, 'a/stands')
    await stopped
  })

  it('lets calls under way go on when a connection is closed, and begins no others', async () => {
    let lost = 0
    await connection.ready(5_000)
    connection.onLost(() => lost++)
    const call = cluster().why({ namespace: 'a', pod: 'stands' })
    await until('it is asked', () => subject.kept.length === 1)
    const { client } = connection
    connection.close()
    subject.release()
    assert.equal((await call).summary, 'a/stands')
    await assert.rejects(async () => client('Cluster').why({ pod: 'a' }), fails('Unavailable'))
    await until('it is told', () => lost === 1)
  })
}
