/**
 * The Kubernetes face over TLS on loopback, over a memory store with a clock that the test steps: what the tests of
 * this folder work on.
 */
import { Registry } from 'prom-client'
import { request as httpsRequest, Agent } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { Accounts } from '../../../controller/accounts/accounts.ts'
import { SigningKey } from '../../../controller/accounts/signing-key.ts'
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import type { AdmissionPlugin } from '../../../controller/api/contract.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { ObjectRegistry, type ObjectRegistryOptions } from '../../../controller/api/objects.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import { createKinds } from '../../../controller/kinds/kinds.ts'
import { createApiServer, type ApiServerParts } from '../../../controller/kube/api-server.ts'
import type { Requests } from '../../../controller/requests/requests.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { createAuthority, issue, type KeyPair } from '../../../deploy/ca.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import { testRequests, type TestRequestsParts } from '../requests/test-requests.ts'

let authority: Promise<KeyPair> | undefined
let server: Promise<KeyPair> | undefined

/** Made once: keys cost some milliseconds. */
async function certificates(): Promise<{ authority: KeyPair; server: KeyPair }> {
  authority ??= createAuthority('test', Date.now())
  server ??= authority.then((ca) =>
    issue(ca, { commonName: 'controller', hosts: ['127.0.0.1', 'localhost'] }, Date.now()),
  )
  return { authority: await authority, server: await server }
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** The body, parsed. */
  readonly json: any
}

export interface Sent {
  /** An object is sent as JSON; a text or bytes as they are. */
  readonly body?: unknown
  /** Content-Type; default application/json with a body. */
  readonly type?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Shown instead of a certificate; '' for a client that shows nothing. */
  readonly token?: string
  /** Whose connections it goes over, instead of the administrator's. */
  readonly agent?: Agent
}

export interface TestApiServerOptions {
  readonly parts?: Partial<ApiServerParts> & Partial<TestRequestsParts>
  readonly core?: Partial<ObjectRegistryOptions>
  /** Made as the core is. */
  readonly plugins?: (face: TestApiServer) => readonly AdmissionPlugin[]
  /** Pods get ServiceAccounts and tokens, and nobody uses an account that may do more. */
  readonly admission?: boolean
}

/** A user of the group system:masters, unless a client says who else it is. */
export class TestApiServer {
  readonly clock = new FakeClock()
  readonly store = new MemoryStore(this.clock)
  readonly random = seededRandom(1)
  readonly informer = new StoreInformer({
    store: this.store,
    clock: this.clock,
    random: this.random,
    logger: silentLogger,
  })
  readonly reads = new ConsistentReads(this.store, this.informer)
  readonly accounts: Accounts
  readonly api: ObjectRegistry
  readonly #options: TestApiServerOptions
  readonly #group = new RunGroup()
  #server: ReturnType<typeof createApiServer> | undefined
  #requests: Requests | undefined
  #address = ''
  #agent: Agent | undefined
  /** Without a certificate. */
  #stranger: Agent | undefined

  private constructor(options: TestApiServerOptions) {
    this.#options = options
    this.accounts = new Accounts({
      key: new SigningKey(SigningKey.make()),
      clusterDomain: 'cluster.local',
      authority: 'the authority',
      informer: this.informer,
      reads: this.reads,
      clock: this.clock,
      random: this.random,
    })
    this.api = new ObjectRegistry({
      reads: this.reads,
      informer: this.informer,
      clock: this.clock,
      random: this.random,
      commits: new GroupCommit(this.store),
      participants: createParticipants(this),
      ...(options.admission === true && { plugins: (api) => this.accounts.plugins(api) }),
      ...(options.plugins !== undefined && { plugins: () => options.plugins!(this) }),
      ...options.core,
    })
  }

  /** Running, with the namespace `default`. */
  static async start(options: TestApiServerOptions = {}): Promise<TestApiServer> {
    const face = new TestApiServer(options)
    await face.#start()
    return face
  }

  async #start(): Promise<void> {
    this.#group.add((signal) => this.informer.run(signal))
    await this.informer.synced()
    await this.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'default' } }, { fieldManager: 'test' })
    await this.reads.current()
    const { clock, random, informer, reads, api } = this
    const registry = new Registry()
    const {
      authority: { cert: ca },
      server,
    } = await certificates()
    this.#requests = testRequests({
      api,
      informer,
      reads,
      clock,
      registry,
      authorizer: this.accounts.authorizer,
      tokens: this.accounts.tokens,
      ...this.#options.parts,
    })
    this.#server = createApiServer({
      address: '127.0.0.1:0',
      tls: { ca, ...server },
      requests: this.#requests,
      registry,
      kinds: createKinds(),
      accounts: this.accounts,
      available: () => undefined,
      clock,
      random,
      logger: silentLogger,
      ...this.#options.parts,
    })
    this.#address = await this.#server.start()
    this.#stranger = new Agent({ keepAlive: true, ca })
    this.#agent = new Agent({ keepAlive: true, ...(await this.client('anna', [MASTERS])) })
  }

  /** The door, once it runs. */
  get requests(): Requests {
    return this.#requests!
  }

  /** host:port */
  get address(): string {
    return this.#address
  }

  /** What a TLS client that is this user connects with. */
  async client(name: string, groups: readonly string[] = []): Promise<{ ca: string; cert: string; key: string }> {
    const { authority: ca } = await certificates()
    return { ca: ca.cert, ...(await issue(ca, { commonName: name, organizations: [...groups] }, Date.now())) }
  }

  /** Sends a request and reads all of the answer. */
  async send(method: string, path: string, sent: Sent = {}): Promise<Reply> {
    const message = await this.open(method, path, sent)
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    return {
      status: message.statusCode!,
      headers: message.headers,
      body,
      get json() {
        return JSON.parse(body.toString()) as unknown
      },
    }
  }

  /** The answer as soon as its head is there: for what goes on. Destroy it to go away. */
  open(
    method: string,
    path: string,
    { body, type, headers = {}, token, agent = this.#agent }: Sent = {},
  ): Promise<IncomingMessage> {
    const bytes =
      body === undefined
        ? undefined
        : typeof body === 'string' || body instanceof Uint8Array
          ? body
          : JSON.stringify(body)
    const [host, port] = this.address.split(':')
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host,
          port,
          method,
          path,
          agent: token === undefined ? agent : this.#stranger,
          headers: {
            ...(bytes !== undefined && {
              'Content-Type': type ?? 'application/json',
              'Content-Length': Buffer.byteLength(bytes),
            }),
            'User-Agent': 'test/1.0',
            ...(token !== undefined && token !== '' && { Authorization: `Bearer ${token}` }),
            ...headers,
          },
        },
        resolve,
      )
      outgoing.on('error', reject)
      outgoing.end(bytes)
    })
  }

  get(path: string, sent: Sent = {}): Promise<Reply> {
    return this.send('GET', path, sent)
  }

  /** The frames of a watch, parsed, as they come. */
  async watch(path: string): Promise<Frames> {
    const message = await this.open('GET', path)
    if (message.statusCode !== 200) {
      const chunks: Buffer[] = []
      for await (const chunk of message) chunks.push(chunk as Buffer)
      throw new Error(`${message.statusCode} ${Buffer.concat(chunks).toString()}`)
    }
    return new Frames(message)
  }

  /** Lets time pass until something has happened. */
  async passUntil<T>(happening: Promise<T>): Promise<T> {
    let over = false
    const end = happening.finally(() => (over = true))
    while (!over) {
      await this.clock.advance(500)
      await new Promise(setImmediate) // what comes from the network
    }
    return end
  }

  /** Ends the connections of clients, with what is under way on them. */
  disconnect(): void {
    this.#agent?.destroy()
    this.#stranger?.destroy()
  }

  /** Begins to stop the server, while clients are there still. */
  stopServing(): Promise<void> {
    return this.#server!.stop()
  }

  async stop(): Promise<void> {
    this.#agent?.destroy()
    this.#stranger?.destroy()
    const stopping = this.#server?.stop()
    await this.clock.advance(1_000)
    await stopping
    this.#group.stop()
    await this.#group.wait()
    this.informer.kinds.close()
    await this.store.close()
  }
}

export interface Frame {
  readonly type: string
  readonly object: any
}

export class Frames {
  readonly #message: IncomingMessage
  readonly #frames: AsyncGenerator<Frame, void, undefined>

  constructor(message: IncomingMessage) {
    this.#message = message
    this.#frames = lines(message)
  }

  /** The next frames, as "ADDED web". */
  async take(count: number): Promise<string[]> {
    const told: string[] = []
    while (told.length < count) {
      const frame = await this.next()
      if (frame === undefined) break
      told.push([frame.type, frame.object.metadata?.name].filter((part) => part !== undefined).join(' '))
    }
    return told
  }

  /** Undefined when it is over. */
  async next(): Promise<Frame | undefined> {
    const { value, done } = await this.#frames.next()
    return done === true ? undefined : value
  }

  close(): void {
    this.#message.destroy()
  }
}

async function* lines(message: IncomingMessage): AsyncGenerator<Frame, void, undefined> {
  let rest = ''
  for await (const chunk of message) {
    const parts = (rest + (chunk as Buffer).toString()).split('\n')
    rest = parts.pop()!
    for (const part of parts) yield JSON.parse(part) as Frame
  }
}
