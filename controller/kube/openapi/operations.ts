/**
 * The methods of the paths of a group and version, as the catalog has them: what an OpenAPI document of either version
 * says of each.
 */
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ServedResource, ServedSubresource, Verb } from '../contract.ts'
import { groupVersionOf, type ApiResource, type ApiVersion } from '../discovery/groups.ts'
import { gvk } from './schemas.ts'
import {
  COLLECTION,
  DELETION,
  LISTING,
  NAME,
  NAMESPACE,
  PATCHING,
  PRETTY,
  subresourceParameters,
  WRITING,
  type Parameter,
} from './parameters.ts'

export type Method = 'get' | 'put' | 'post' | 'delete' | 'patch' | 'options' | 'head'

/** What is sent or received. */
export type Body =
  /** The resource's, or the subresource's, own kind. */
  | { readonly is: 'object'; readonly of: ServedResource | ServedSubresource }
  | { readonly is: 'list'; readonly of: ServedResource }
  /** A message of the schema. */
  | { readonly is: 'message'; readonly message: 'Status' | 'DeleteOptions' }
  | { readonly is: 'patch' }
  /** Bytes that are no object. */
  | { readonly is: 'text' }

export interface Operation {
  readonly method: Method
  readonly operationId: string
  readonly description: string
  /** As Kubernetes' generators group operations: "apps_v1". */
  readonly tag: string
  readonly action: 'list' | 'get' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection' | 'connect'
  /** Group, version and kind of what it is about. */
  readonly kind: JsonObject
  /** Of a custom kind: there is neither protobuf nor strategic merge. */
  readonly custom: boolean
  /** Beside those of the path. */
  readonly parameters: readonly Parameter[]
  readonly request?: Body
  readonly answer: Body
  /** HTTP codes with which the answer comes. */
  readonly codes: readonly number[]
}

export interface PathItem {
  readonly path: string
  /** Of all operations. */
  readonly parameters: readonly Parameter[]
  readonly operations: readonly Operation[]
}

interface Shape {
  readonly method: Method
  readonly action: Operation['action']
  /** In the operation's id, and in its description. */
  readonly word: string
  readonly does: string
  readonly parameters: readonly Parameter[]
  readonly codes: readonly number[]
}

const SHAPES: Readonly<Record<Exclude<Verb, 'watch' | 'connect'>, Shape>> = {
  list: { method: 'get', action: 'list', word: 'list', does: 'list or watch', parameters: LISTING, codes: [200] },
  create: {
    method: 'post',
    action: 'post',
    word: 'create',
    does: 'create',
    parameters: WRITING,
    codes: [200, 201, 202],
  },
  deletecollection: {
    method: 'delete',
    action: 'deletecollection',
    word: 'delete',
    does: 'delete a collection of',
    parameters: COLLECTION,
    codes: [200],
  },
  get: { method: 'get', action: 'get', word: 'read', does: 'read', parameters: [], codes: [200] },
  update: { method: 'put', action: 'put', word: 'replace', does: 'replace', parameters: WRITING, codes: [200, 201] },
  patch: {
    method: 'patch',
    action: 'patch',
    word: 'patch',
    does: 'change parts of',
    parameters: PATCHING,
    codes: [200, 201],
  },
  delete: {
    method: 'delete',
    action: 'delete',
    word: 'delete',
    does: 'delete',
    parameters: DELETION,
    codes: [200, 202],
  },
}

const OF_COLLECTIONS: readonly (keyof typeof SHAPES)[] = ['list', 'create', 'deletecollection']
const OF_OBJECTS: readonly (keyof typeof SHAPES)[] = ['get', 'update', 'patch', 'delete']
const PROXY_METHODS: readonly Method[] = ['delete', 'get', 'head', 'options', 'patch', 'post', 'put']

/** Every path of a group and version. */
export function pathsOf(group: string, version: ApiVersion): PathItem[] {
  const root = group === '' ? `/api/${version.version}` : `/apis/${groupVersionOf(group, version.version)}`
  return version.resources
    .flatMap((resource) => resourcePaths(root, resource))
    .filter(({ operations }) => operations.length > 0)
}

function resourcePaths(root: string, { served, subresources }: ApiResource): PathItem[] {
  const { plural, namespaced, verbs } = served
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`
  const place = namespaced ? [NAMESPACE, PRETTY] : [PRETTY]
  const one = (verb: keyof typeof SHAPES): Operation => operation(served, undefined, verb)
  const everywhere = namespaced && verbs.includes('list')
  return [
    ...(everywhere
      ? [{ path: `${root}/${plural}`, parameters: [...LISTING, PRETTY], operations: [allNamespaces(served)] }]
      : []),
    { path: collection, parameters: place, operations: OF_COLLECTIONS.filter((verb) => verbs.includes(verb)).map(one) },
    {
      path: `${collection}/{name}`,
      parameters: [NAME, ...place],
      operations: OF_OBJECTS.filter((verb) => verbs.includes(verb)).map(one),
    },
    ...subresources.flatMap((subresource) =>
      subresourcePaths(`${collection}/{name}/${subresource.name}`, [NAME, ...place], subresource),
    ),
  ]
}

function allNamespaces(served: ServedResource): Operation {
  const list = operation(served, undefined, 'list')
  return { ...list, parameters: [], operationId: `list${prefixOf(served)}${served.kind}ForAllNamespaces` }
}

function subresourcePaths(path: string, place: readonly Parameter[], subresource: ServedSubresource): PathItem[] {
  const { parent, verbs, name } = subresource
  const own = subresourceParameters(name)
  if (verbs.includes('connect')) {
    const methods: readonly Method[] = name === 'proxy' ? PROXY_METHODS : ['get', 'post']
    const [bare, below] = ['', 'WithPath'].map((end) => methods.map((method) => connection(subresource, method, end)))
    const parameters = [...place.filter((parameter) => parameter !== PRETTY), ...own]
    const rest: Parameter = {
      name: 'path',
      in: 'path',
      description: 'The path at what is connected to.',
      type: 'string',
    }
    return [
      { path, parameters, operations: bare! },
      ...(name === 'proxy' ? [{ path: `${path}/{path}`, parameters: [...parameters, rest], operations: below! }] : []),
    ]
  }
  const operations = (['create', ...OF_OBJECTS] as const)
    .filter((verb) => verbs.includes(verb))
    .map((verb) => operation(parent, subresource, verb))
  return [{ path, parameters: [...place, ...own], operations }]
}

function operation(
  parent: ServedResource,
  subresource: ServedSubresource | undefined,
  verb: keyof typeof SHAPES,
): Operation {
  const { method, action, word, does, parameters, codes } = SHAPES[verb]
  const scope = parent.namespaced ? 'Namespaced' : ''
  const of = subresource ?? parent
  const answer: Body =
    subresource?.name === 'log'
      ? { is: 'text' }
      : verb === 'list'
        ? { is: 'list', of: parent }
        : verb === 'delete' || verb === 'deletecollection'
          ? { is: 'message', message: 'Status' }
          : { is: 'object', of }
  const request: Body | undefined =
    verb === 'create' || verb === 'update'
      ? { is: 'object', of }
      : verb === 'patch'
        ? { is: 'patch' }
        : verb === 'delete' || verb === 'deletecollection'
          ? { is: 'message', message: 'DeleteOptions' }
          : undefined
  return {
    method,
    action,
    parameters,
    codes,
    answer,
    operationId: `${word}${prefixOf(parent)}${verb === 'deletecollection' ? 'Collection' : ''}${scope}${parent.kind}${capitalised(subresource?.name ?? '')}`,
    description:
      subresource === undefined
        ? `${does} ${verb === 'list' || verb === 'deletecollection' ? 'objects' : 'an object'} of kind ${parent.kind}`
        : `${does} ${subresource.name} of the specified ${parent.kind}`,
    tag: tagOf(parent),
    custom: parent.message === undefined,
    kind: gvk(subresource?.group ?? parent.group, subresource?.version ?? parent.version, of.kind),
    ...(request !== undefined && { request }),
  }
}

function connection({ parent, name, kind, group, version }: ServedSubresource, method: Method, end: string): Operation {
  return {
    method,
    action: 'connect',
    parameters: [],
    codes: [200],
    answer: { is: 'text' },
    operationId: `connect${prefixOf(parent)}${capitalised(method)}${parent.namespaced ? 'Namespaced' : ''}${parent.kind}${capitalised(name)}${end}`,
    description: `connect ${method.toUpperCase()} requests to ${name} of ${parent.kind}`,
    tag: tagOf(parent),
    custom: parent.message === undefined,
    kind: gvk(group ?? parent.group, version ?? parent.version, kind),
  }
}

function capitalised(word: string): string {
  return word === '' ? '' : word[0]!.toUpperCase() + word.slice(1)
}

/** "AppsV1", "CoreV1", "StableExampleComV1" */
function prefixOf({ group, version }: ServedResource): string {
  return (
    (group === '' ? ['core'] : group.replace(/\.k8s\.io$/, '').split('.')).map(capitalised).join('') +
    capitalised(version)
  )
}

function tagOf({ group, version }: ServedResource): string {
  return `${group === '' ? 'core' : group.replace(/\.k8s\.io$/, '').replaceAll('.', '_')}_${version}`
}
