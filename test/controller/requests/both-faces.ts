/**
 * One control plane behind both faces, and requests that mean the same on each: what the suite of this folder compares.
 * What it hands back are codes: 'OK', or that of the GantryError, which the Kubernetes face tells as a status.
 */
import type { IncomingMessage } from 'node:http'
import { Agent } from 'node:https'
import assert from 'node:assert/strict'
import { MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import { accountGroups } from '../../../controller/accounts/token-authenticator.ts'
import { accountUser } from '../../../controller/accounts/tokens.ts'
import { ClusterHandlers } from '../../../controller/grpc/cluster.ts'
import { PodsHandlers } from '../../../controller/grpc/pods.ts'
import { ResourcesHandlers } from '../../../controller/grpc/resources.ts'
import { ACCESS_ANNOTATION, ACCESS_LEVELS } from '../../../proto/objects/account-access.ts'
import { DefinitionReconciler } from '../../../controller/reconcile/definition/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import { until } from '../../eventually.ts'
import { encodeJson } from '../../../proto/codec/codec.ts'
import { decode, decodeResource, encode } from '../../../proto/codec/wire.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { apiVersionOf, resourceOf, schema } from '../../../proto/schema/schema.ts'
import type { KnownKinds } from '../../../proto/schema/kind-registry.ts'
import { findAnyKind } from '../../../proto/schema/kinds.ts'
import type { JsonObject, Kind, ObjectBytes } from '../../../proto/gen/types.ts'
import { TestApiServer, type TestApiServerOptions, type Reply, type Sent } from '../kube/test-api-server.ts'
import { reconcileParts } from '../reconcile-parts.ts'

/** Who asks: a certificate's name and organisations, or a ServiceAccount of the namespace `default`. */
export interface Caller {
  readonly name: string
  readonly groups: readonly string[]
  readonly account?: string
}

export const ADMINISTRATOR: Caller = { name: 'anna', groups: [MASTERS] }
export const CALLERS: readonly (readonly [string, Caller])[] = [
  ['an administrator', ADMINISTRATOR],
  ['a node', { name: 'system:node:n1', groups: [NODES] }],
  ['somebody without an organisation', { name: 'carl', groups: [] }],
  ...ACCESS_LEVELS.map(
    (level) =>
      [
        `a ServiceAccount with access ${level}`,
        { name: accountUser('default', level), groups: accountGroups('default'), account: level },
      ] as const,
  ),
]

/** What became of a request: its code, and what was answered. */
export interface Result {
  readonly code: string
  readonly answer?: unknown
}

/** What is asked of objects of a kind; a namespace of '' means all of them, or none. */
export interface Asked {
  readonly verb: 'get' | 'list' | 'create' | 'update' | 'status' | 'patch' | 'apply' | 'delete' | 'evict'
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** The object for create and update, the configuration for apply, the merge patch for patch. */
  readonly body?: JsonObject
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly limit?: number
  readonly continue?: string
}

export class BothFaces {
  readonly face: TestApiServer
  readonly resources: ResourcesHandlers
  readonly pods: PodsHandlers
  readonly cluster: ClusterHandlers
  readonly #ended = new AbortController()
  readonly #group = new RunGroup()
  readonly #tokens = new Map<string, string>()
  readonly #agents = new Map<string, Agent>()

  private constructor(face: TestApiServer) {
    this.face = face
    this.resources = new ResourcesHandlers(face.requests)
    this.pods = new PodsHandlers(face.requests)
    this.cluster = new ClusterHandlers(face.requests)
  }

  /** With a ServiceAccount of each level of access. */
  static async start(options: TestApiServerOptions = {}): Promise<BothFaces> {
    const both = new BothFaces(await TestApiServer.start(options))
    const { face } = both
    for (const level of ACCESS_LEVELS) {
      const metadata = { name: level, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: level } }
      const account = await face.api.create<'ServiceAccount'>(
        { kind: 'ServiceAccount', metadata },
        { fieldManager: 'test' },
      )
      const subject = { namespace: 'default', account: account.metadata }
      both.#tokens.set(level, face.accounts.tokens.issue(subject, [], 100_000).token)
    }
    await face.reads.current()
    return both
  }

  call({ name, groups }: Caller): CallContext {
    return { signal: this.#ended.signal, peer: '', user: { name, groups } }
  }

  /** By HTTP, as the caller. */
  async http(caller: Caller, method: string, path: string, body?: JsonObject, type?: string): Promise<Reply> {
    const sent = { ...(body !== undefined && { body }), ...(type !== undefined && { type }) }
    return this.face.send(method, path, { ...sent, ...(await this.#identity(caller)) })
  }

  /** The answer as soon as its head is there: for what goes on. Destroy it to go away. */
  async open(caller: Caller, path: string): Promise<IncomingMessage> {
    return this.face.open('GET', path, await this.#identity(caller))
  }

  /** What a caller is known by over HTTP. */
  async #identity({ name, groups, account }: Caller): Promise<Pick<Sent, 'token' | 'agent'>> {
    if (account !== undefined) return { token: this.#tokens.get(account)! }
    let agent = this.#agents.get(name)
    if (agent === undefined) {
      const client = await this.face.client(name, groups)
      this.#agents.set(name, (agent = new Agent({ keepAlive: true, ...client })))
    }
    return { agent }
  }

  async kube(caller: Caller, asked: Asked): Promise<Result> {
    const { method, path, type } = httpOf(asked, this.face.informer.kinds)
    const result = kubeResult(await this.http(caller, method, path, bodyOf(asked), type))
    // What is shown of an object that is going is a Status or the object here, and always the object over gRPC.
    return asked.verb === 'delete' || asked.verb === 'evict' ? { code: result.code } : result
  }

  async grpc(caller: Caller, asked: Asked): Promise<Result> {
    return grpcResult(this.#grpc(asked, this.call(caller)))
  }

  async #grpc(asked: Asked, call: CallContext): Promise<unknown> {
    const { verb, apiVersion, kind, namespace, name, labelSelector = '', fieldSelector = '' } = asked
    const ref = { apiVersion, kind, namespace, name }
    const options = { dryRun: true, fieldManager: 'test', force: false }
    const deletion = { ref, propagation: 'BACKGROUND' as const, uid: '', resourceVersion: '', options }
    switch (verb) {
      case 'get':
        return this.shown((await this.resources.get({ ref }, call)).object)
      case 'list': {
        const { limit = 0, continue: token = '' } = asked
        const request = { apiVersion, kind, namespace, labelSelector, fieldSelector, limit, continue: token }
        const list = await this.resources.list(request, call)
        return {
          items: (list.items ?? []).map((item) => this.shown(item)),
          resourceVersion: list.resourceVersion,
          isWhole: (list.continue ?? '') === '',
        }
      }
      case 'create':
        return this.shown((await this.resources.create({ object: packed(asked), options }, call)).object)
      case 'update':
      case 'status': {
        const subresource = verb === 'status' ? 'status' : ''
        return this.shown((await this.resources.update({ object: packed(asked), subresource, options }, call)).object)
      }
      case 'patch': {
        const patch = { ref, type: 'MERGE' as const, patch: JSON.stringify(asked.body), subresource: '', options }
        return this.shown((await this.resources.patch(patch, call)).object)
      }
      case 'apply':
        return this.shown(
          (await this.resources.apply({ ref, configuration: JSON.stringify(asked.body), options }, call)).object,
        )
      case 'delete':
      case 'evict':
        await this.resources.delete({ ...deletion, eviction: verb === 'evict' }, call)
        return undefined
    }
  }

  /** An object in an answer over gRPC, as JSON, whole, as the Kubernetes face shows it. */
  shown(bytes: unknown): unknown {
    return shown(bytes, this.face.informer.kinds)
  }

  /** As an administrator, and it stays. */
  async make(asked: Asked): Promise<Result> {
    const { path, method } = httpOf(asked, this.face.informer.kinds)
    return kubeResult(await this.http(ADMINISTRATOR, method, path.replace('dryRun=All', ''), bodyOf(asked)))
  }

  /** A custom kind, served once its definition is accepted. */
  async define(definition: JsonObject): Promise<void> {
    const parts = reconcileParts(this.face)
    this.#group.add((signal) => runReconcilers([new DefinitionReconciler(parts)], parts, signal))
    const { group, names, versions } = definition['spec'] as {
      group: string
      names: { plural: string }
      versions: { name: string }[]
    }
    const made = await this.http(
      ADMINISTRATOR,
      'POST',
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      definition,
    )
    assert.equal(made.status, 201, made.body.toString())
    const path = `/apis/${group}/${versions[0]!.name}/${names.plural}`
    await until('the kind is served', async () => (await this.http(ADMINISTRATOR, 'GET', path)).status === 200)
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
    this.#ended.abort(new GantryError('Cancelled', 'the test is over'))
    for (const agent of this.#agents.values()) agent.destroy()
    await this.face.stop()
  }
}

/** Reasons of the Kubernetes API by the code of the error that they tell of. */
const CODES: Readonly<Record<string, string>> = {
  BadRequest: 'InvalidArgument',
  Invalid: 'InvalidArgument',
  Forbidden: 'Forbidden',
  NotFound: 'NotFound',
  AlreadyExists: 'AlreadyExists',
  Conflict: 'Conflict',
  Expired: 'Expired',
  Timeout: 'DeadlineExceeded',
  TooManyRequests: 'ResourceExhausted',
  ServiceUnavailable: 'Unavailable',
}

export function kubeResult(reply: Reply): Result {
  const { status, headers } = reply
  if (status < 300 && headers['content-type'] !== 'application/json') return { code: 'OK' }
  const { json } = reply
  if (status < 300) {
    if (json.kind === 'Status') return { code: 'OK' }
    if (json.items === undefined) return { code: 'OK', answer: json }
    const { items, metadata, apiVersion, kind } = json
    const item = { apiVersion, kind: (kind as string).replace(/List$/, '') }
    return {
      code: 'OK',
      answer: {
        items: (items as object[]).map((object) => ({ ...item, ...object })),
        resourceVersion: metadata.resourceVersion,
        isWhole: metadata.continue === undefined,
      },
    }
  }
  return { code: CODES[json.reason as string] ?? `${status} ${json.reason}` }
}

export async function grpcResult(work: Promise<unknown>): Promise<Result> {
  try {
    const answer = await work
    return answer === undefined ? { code: 'OK' } : { code: 'OK', answer }
  } catch (thrown) {
    assert.ok(thrown instanceof GantryError, String(thrown))
    // Which of them it is depends on who is to blame, which HTTP does not tell.
    return { code: thrown.code === 'Unsupported' ? 'InvalidArgument' : thrown.code }
  }
}

function httpOf(asked: Asked, kinds: KnownKinds): { method: string; path: string; type?: string } {
  const { verb, apiVersion, kind, namespace, name } = asked
  const query = new URLSearchParams()
  const set = (key: string, value: string | undefined): void => void (value !== undefined && query.set(key, value))
  const { plural } = resourceOf(kindOf(apiVersion, kind, kinds))
  const root = apiVersion.includes('/') ? '/apis' : '/api'
  const collection = `${root}/${apiVersion}${namespace === '' ? '' : `/namespaces/${namespace}`}/${plural}`
  const own = `${collection}/${name}`
  // gRPC is as strict as kubectl: what the schema does not know is refused.
  const writing = { dryRun: 'All', fieldManager: 'test', fieldValidation: 'Strict' }
  if (verb !== 'get' && verb !== 'list') for (const [key, value] of Object.entries(writing)) query.set(key, value)
  if (verb === 'list') {
    set('labelSelector', asked.labelSelector)
    set('fieldSelector', asked.fieldSelector)
    set('limit', asked.limit?.toString())
    set('continue', asked.continue)
  }
  const to = (method: string, path: string, type?: string) => ({
    method,
    path: `${path}${query.size === 0 ? '' : `?${query}`}`,
    ...(type !== undefined && { type }),
  })
  switch (verb) {
    case 'get':
      return to('GET', own)
    case 'list':
      return to('GET', collection)
    case 'create':
      return to('POST', collection)
    case 'update':
      return to('PUT', own)
    case 'status':
      return to('PUT', `${own}/status`)
    case 'patch':
      return to('PATCH', own, 'application/merge-patch+json')
    case 'apply':
      return to('PATCH', own, 'application/apply-patch+yaml')
    case 'delete':
      return to('DELETE', own)
    case 'evict':
      return to('POST', `${own}/eviction`)
  }
}

function bodyOf({ verb, body, apiVersion, kind, namespace, name }: Asked): JsonObject | undefined {
  switch (verb) {
    case 'get':
    case 'list':
    case 'delete':
      return undefined
    case 'evict':
      return { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }
    case 'patch':
      return body
    case 'create':
    case 'update':
    case 'status':
    case 'apply':
      return { apiVersion, kind, ...body }
  }
}

function kindOf(apiVersion: string, kind: string, kinds: KnownKinds): Kind {
  const found = findAnyKind(apiVersion, kind, kinds)
  assert.ok('kind' in found, `${apiVersion} ${kind}`)
  return found.kind
}

/** The object in the bytes of a gRPC request; of a custom kind its content is JSON. */
function packed({ apiVersion, kind, body = {} }: Asked): ObjectBytes {
  const { metadata = {}, ...content } = body
  const raw =
    kind in schema.messages
      ? encode(kind as Kind, { metadata, ...content } as never)
      : encode('CustomObject', { metadata: metadata as never, json: Buffer.from(JSON.stringify(content)) })
  return { apiVersion, kind, raw }
}

function shown(bytes: unknown, kinds: KnownKinds): unknown {
  const { apiVersion, kind: name, raw } = bytes as ObjectBytes
  const kind = kindOf(apiVersion, name, kinds)
  if (!(kind in schema.messages)) {
    const { metadata, json = new Uint8Array() } = decode('CustomObject', raw)
    const object = { apiVersion, kind, metadata, ...(JSON.parse(Buffer.from(json).toString()) as object) }
    return JSON.parse(JSON.stringify(encodeJson(object as never, { apiVersion, full: true })))
  }
  const object = decodeResource(kind, raw)
  return JSON.parse(JSON.stringify(encodeJson(object, { apiVersion: apiVersionOf(resourceOf(kind)), full: true })))
}
