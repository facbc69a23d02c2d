/** Answers the paths of discovery. Documents are made once per change of the catalog, however many clients ask. */
import type { Catalog } from '../catalog.ts'
import type { Answer, Endpoint, KubeRequest, EncodableObject } from '../contract.ts'
import { entityTag, unchanged } from '../entity-tag.ts'
import { encodableJson } from '../encodable-object.ts'
import { HttpError } from '../status.ts'
import { aggregatedDocument, aggregatedType, wantedAggregation } from './aggregated.ts'
import { coreVersions, groupDocument, groupList, resourceList, type Document } from './documents.ts'
import { groupsOf, type ApiGroup } from './groups.ts'

export class Discovery {
  readonly #catalog: Catalog
  /** Paths that are not below /api and /apis, for the list at /. */
  readonly #others: readonly string[]
  #revision = -1
  #groups: readonly ApiGroup[] = []
  readonly #documents = new Map<string, EncodableObject>()
  readonly #aggregated = new Map<string, { readonly body: Buffer; readonly tag: string }>()

  constructor(catalog: Catalog, others: readonly string[]) {
    this.#catalog = catalog
    this.#others = others
  }

  /** The prefixes catch what is no resource: a group, a version, or nothing. */
  get endpoints(): Endpoint[] {
    return [
      { path: '/', handle: async (request) => this.#paths(request) },
      ...['/api', '/api/', '/apis', '/apis/'].map((path): Endpoint => ({
        path,
        handle: async (request) => this.#discover(request),
      })),
    ]
  }

  #paths(request: KubeRequest): Answer {
    onlyRead(request)
    this.#refresh()
    const groups = this.#groups.filter(({ name }) => name !== '')
    const paths = [
      '/api',
      '/api/v1',
      '/apis',
      ...groups.flatMap(({ name, versions }) => [
        `/apis/${name}`,
        ...versions.map(({ groupVersion }) => `/apis/${groupVersion}`),
      ]),
      ...this.#others,
    ]
    return { is: 'json', json: { paths: [...new Set(paths)].sort() } }
  }

  #discover(request: KubeRequest): Answer {
    this.#refresh()
    const path = request.path.replace(/\/$/, '')
    // Whoever writes to what is not there is told that it is not there.
    if (path !== '/api' && path !== '/apis') this.#document(path)
    onlyRead(request)
    const version = path === '/api' || path === '/apis' ? wantedAggregation(request.headers.accept ?? '') : undefined
    if (version === undefined) return { is: 'object', object: this.#document(path) }
    const key = `${path} ${version}`
    let made = this.#aggregated.get(key)
    if (made === undefined) {
      const groups = this.#groups.filter(({ name }) => (name === '') === (path === '/api'))
      const body = Buffer.from(JSON.stringify(aggregatedDocument(groups, version)))
      this.#aggregated.set(key, (made = { body, tag: entityTag(body) }))
    }
    const headers = { ETag: made.tag, Vary: 'Accept' }
    if (unchanged(request, made.tag))
      return { is: 'bytes', code: 304, type: aggregatedType(version), body: '', headers }
    return { is: 'bytes', type: aggregatedType(version), body: made.body, headers }
  }

  #document(path: string): EncodableObject {
    let sendable = this.#documents.get(path)
    if (sendable === undefined) {
      const document = this.#make(path.split('/').slice(1))
      if (document === undefined) throw notFound()
      this.#documents.set(path, (sendable = encodableJson(document)))
    }
    return sendable
  }

  #make([root, ...rest]: string[]): Document | undefined {
    if (rest.length === 0)
      return root === 'api' ? coreVersions(this.#groups.find(({ name }) => name === '')) : groupList(this.#groups)
    const [name, version, ...more] = root === 'api' ? ['', ...rest] : rest
    const group = this.#groups.find((other) => other.name === name)
    if (group === undefined || more.length > 0 || (root === 'apis' && name === '')) return undefined
    if (version === undefined) return groupDocument(group)
    const found = group.versions.find((other) => other.version === version)
    return found === undefined ? undefined : resourceList(found)
  }

  #refresh(): void {
    if (this.#revision === this.#catalog.revision) return
    this.#groups = groupsOf(this.#catalog)
    this.#documents.clear()
    this.#aggregated.clear()
    this.#revision = this.#catalog.revision
  }
}

function notFound(): HttpError {
  return new HttpError(404, 'NotFound', 'the server could not find the requested resource', 'NotFound')
}

function onlyRead({ method, path }: KubeRequest): void {
  if (method !== 'GET' && method !== 'HEAD')
    throw new HttpError(405, 'MethodNotAllowed', `${method} is not possible for ${path}`)
}
