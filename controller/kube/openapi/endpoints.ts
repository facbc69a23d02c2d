/**
 * Answers /openapi/v2 and /openapi/v3. A document is made on the first request that needs it, and again when what it is
 * made of has changed; what was made is kept as bytes.
 * https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
 */
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { Catalog } from '../catalog.ts'
import type { Answer, Endpoint, KubeRequest } from '../contract.ts'
import { groupsOf, type ApiGroup, type ApiVersion } from '../discovery/groups.ts'
import { digestOf, unchanged } from '../entity-tag.ts'
import { HttpError } from '../status.ts'
import { customSchema } from './custom.ts'
import { encodeDocument, type Message } from './gnostic.ts'
import type { Sources } from './schemas.ts'
import { documentV2 } from './v2.ts'
import { documentV3 } from './v3.ts'
import { documentWireV2 } from './wire-v2.ts'
import { documentWireV3 } from './wire-v3.ts'

const JSON_TYPE = 'application/json'

/** A document in the encodings that were asked for. */
interface Made {
  readonly json: Buffer
  /** Of the JSON. */
  readonly digest: string
  /** Made on the first request for it. */
  protobuf?: Uint8Array
}

/** A group and version's document, and what it was made of. */
interface Entry {
  readonly inputs: string
  readonly made: Made
}

export class OpenApi {
  readonly #catalog: Catalog
  /** By "api/v1" or "apis/GROUP/VERSION". */
  #v3: Promise<ReadonlyMap<string, Entry>> | undefined
  /** The last that were made: documents of groups that did not change since are still right. */
  #before: ReadonlyMap<string, Entry> = new Map()
  #v2: Promise<Made> | undefined
  #revision = -1

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  get endpoints(): Endpoint[] {
    return [
      { path: '/openapi/v2', handle: (request) => this.#answerV2(request) },
      { path: '/openapi/v3', handle: (request) => this.#index(request) },
      { path: '/openapi/v3/', handle: (request) => this.#answerV3(request) },
    ]
  }

  async #answerV2(request: KubeRequest): Promise<Answer> {
    const type = wantedType(request, 'v2')
    this.#refresh()
    const made = await (this.#v2 ??= this.#kept(makeV2(this.#catalog), () => (this.#v2 = undefined)))
    return answer(request, made, type, documentWireV2, {})
  }

  async #index(request: KubeRequest): Promise<Answer> {
    wantedType(request)
    const paths: JsonObject = {}
    for (const [path, { made }] of await this.#documents())
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${made.digest}` }
    const json = Buffer.from(JSON.stringify({ paths }))
    return answer(request, { json, digest: digestOf(json) }, JSON_TYPE, documentWireV3, {})
  }

  async #answerV3(request: KubeRequest): Promise<Answer> {
    const type = wantedType(request, 'v3')
    const path = request.path.slice('/openapi/v3/'.length)
    const made = (await this.#documents()).get(path)?.made
    if (made === undefined)
      throw new HttpError(404, 'NotFound', `there is no OpenAPI document ${path}: /openapi/v3 lists them`, 'NotFound')
    const hash = request.query.get('hash')
    // Who asks for a document by its hash can keep it for good; a hash of former days leads to that of today.
    if (hash !== null && hash !== made.digest)
      return {
        is: 'bytes',
        code: 301,
        type: JSON_TYPE,
        body: '',
        headers: { Location: `${request.path}?hash=${made.digest}` },
      }
    return answer(
      request,
      made,
      type,
      documentWireV3,
      hash === null ? {} : { 'Cache-Control': 'public, immutable, max-age=31536000' },
    )
  }

  #documents(): Promise<ReadonlyMap<string, Entry>> {
    this.#refresh()
    return (this.#v3 ??= this.#kept(makeV3(this.#catalog, this.#before), () => (this.#v3 = undefined)).then(
      (entries) => (this.#before = entries),
    ))
  }

  /** What fails is tried again with the next request. */
  #kept<T>(making: Promise<T>, forget: () => void): Promise<T> {
    making.catch(forget)
    return making
  }

  #refresh(): void {
    if (this.#revision === this.#catalog.revision) return
    this.#v2 = undefined
    this.#v3 = undefined
    this.#revision = this.#catalog.revision
  }
}

/** The comments and names: they are not in memory until somebody asks. */
async function loadSources(): Promise<Sources> {
  const [{ docs }, { definitions }] = await Promise.all([
    import('../../../proto/gen/docs.ts'),
    import('../../../proto/gen/definitions.ts'),
  ])
  return { docs, definitions }
}

/** Lets whoever waits go first. */
function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function makeV2(catalog: Catalog): Promise<Made> {
  return encoded(await documentV2(groupsOf(catalog), await loadSources(), pause))
}

async function makeV3(catalog: Catalog, before: ReadonlyMap<string, Entry>): Promise<ReadonlyMap<string, Entry>> {
  const sources = await loadSources()
  const entries = new Map<string, Entry>()
  for (const group of groupsOf(catalog)) {
    for (const version of group.versions) {
      const path = pathOf(group, version)
      const inputs = inputsOf(version)
      const known = before.get(path)
      entries.set(
        path,
        known?.inputs === inputs ? known : { inputs, made: encoded(documentV3(group.name, version, sources)) },
      )
      await pause()
    }
  }
  return entries
}

function pathOf({ name }: ApiGroup, { version }: ApiVersion): string {
  return name === '' ? `api/${version}` : `apis/${name}/${version}`
}

/** All that a document is made of and that can change while the program runs. */
function inputsOf({ resources }: ApiVersion): string {
  return digestOf(
    JSON.stringify(
      resources.map(({ served, subresources }) => [
        served,
        subresources.map(({ parent: _parent, ...own }) => own),
        served.message === undefined ? customSchema(served) : null,
      ]),
    ),
  )
}

function encoded(document: JsonObject): Made {
  const json = Buffer.from(JSON.stringify(document))
  return { json, digest: digestOf(json) }
}

/**
 * `version`: that of the document, if there is a protobuf form of it. HttpError 406 if the client takes nothing that
 * there is.
 */
function wantedType({ method, headers, path }: KubeRequest, version?: 'v2' | 'v3'): string {
  if (method !== 'GET' && method !== 'HEAD')
    throw new HttpError(405, 'MethodNotAllowed', `${method} is not possible for ${path}`)
  const accept = headers.accept ?? '*/*'
  for (const range of accept.split(',')) {
    const type = range.split(';')[0]!.trim().toLowerCase()
    if (type === JSON_TYPE || type === 'application/*' || type === '*/*' || type === '') return JSON_TYPE
    // Older clients write @v1.0, which is no valid media type; the answer has the right one.
    if (version !== undefined && type.replace('@', '.') === protobufType(version)) return protobufType(version)
  }
  const known = version === undefined ? JSON_TYPE : `${JSON_TYPE} and ${protobufType(version)}`
  throw new HttpError(406, 'NotAcceptable', `only ${known} can be sent`)
}

function protobufType(version: 'v2' | 'v3'): string {
  return `application/com.github.proto-openapi.spec.${version}.v1.0+protobuf`
}

function answer(
  request: KubeRequest,
  made: Made,
  type: string,
  wire: Message,
  more: Readonly<Record<string, string>>,
): Answer {
  const json = type === JSON_TYPE
  const tag = `"${made.digest}${json ? '' : '-protobuf'}"`
  const headers = { ETag: tag, Vary: 'Accept', ...more }
  if (unchanged(request, tag)) return { is: 'bytes', code: 304, type, body: '', headers }
  const body = json
    ? made.json
    : (made.protobuf ??= encodeDocument(JSON.parse(made.json.toString()) as JsonObject, wire))
  return { is: 'bytes', type, body, headers }
}
