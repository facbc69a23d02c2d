/** Where an image may be had: mirrors in order, then the registry itself. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Credential, RegistriesConfig } from '../contract.ts'

/** One repository, as one caller may read it. */
export interface Repository {
  readonly registry: string
  readonly repository: string
  readonly credentials: readonly Credential[]
}

export interface RegistryEndpoint {
  /** "https://registry-1.docker.io" or "http://10.0.0.1:5000/some/prefix", without a slash at its end. */
  readonly base: URL
  /** What the repository is called there. A mirror may keep each registry's repositories in a folder of its own. */
  readonly repository: string
  readonly mirror: boolean
  readonly credential: Credential | undefined
}

/** docker.io is served from another host. */
const DOCKER_HOST = 'registry-1.docker.io'
/** Among mirrors: the registries that have no entry of their own. */
const ANY_REGISTRY = '*'

/**
 * The endpoints of a repository in the order in which they are tried. A mirror gets only credentials for its own host.
 */
export function endpoints(
  { registry, repository, credentials }: Repository,
  config: RegistriesConfig,
): readonly RegistryEndpoint[] {
  const mirrors = (config.mirrors?.[registry] ?? config.mirrors?.[ANY_REGISTRY] ?? []).map(
    (address): RegistryEndpoint => {
      const { base, folder } = parseMirror(address, registry)
      const there = `${folder}${repository}`
      return { base, repository: there, mirror: true, credential: credentialFor(base.host, there, credentials) }
    },
  )
  const host = registry === 'docker.io' ? DOCKER_HOST : registry
  const base = parseBase(`${isPlain(registry, config) ? 'http' : 'https'}://${host}`, 'registry')
  return [...mirrors, { base, repository, mirror: false, credential: credentialFor(registry, repository, credentials) }]
}

/**
 * The one that says most of the repository's path; among those the first.
 * https://kubernetes.io/docs/concepts/containers/images/#config-json
 */
function credentialFor(host: string, repository: string, credentials: readonly Credential[]): Credential | undefined {
  let best: { readonly credential: Credential; readonly path: string } | undefined
  for (const credential of credentials) {
    const [of, path] = normalizeRegistry(credential.registry)
    if (of !== host || (path !== '' && !`${repository}/`.startsWith(`${path}/`))) continue
    if (best === undefined || path.length > best.path.length) best = { credential, path }
  }
  return best?.credential
}

/** Hosts that may be spoken to in plain HTTP: those named so, and mirrors written with http://. */
export function plainHosts(config: RegistriesConfig): ReadonlySet<string> {
  const mirrors = Object.values(config.mirrors ?? {})
    .flat()
    .map((address) => parseMirror(address, ANY_REGISTRY).base)
    .filter((base) => base.protocol === 'http:')
  return new Set([
    ...(config.insecure ?? [])
      .filter((host) => isPlain(host, config))
      .map((host) => parseBase(`http://${host}`, 'insecure registry').host),
    ...mirrors.map((base) => base.host),
  ])
}

/** Host as in an address → file with the certificates to trust for it. */
export function trustedFiles(config: RegistriesConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(config.ca ?? {}).map(([host, file]) => [
      parseBase(`https://${host === 'docker.io' ? DOCKER_HOST : host}`, 'registry').host,
      file,
    ]),
  )
}

/** A host with certificates of its own is spoken to in HTTPS even where plain HTTP would be allowed. */
function isPlain(host: string, config: RegistriesConfig): boolean {
  return config.insecure?.includes(host) === true && config.ca?.[host] === undefined
}

function parseBase(address: string, name: string): URL {
  const base = URL.canParse(address) ? new URL(address) : undefined
  if (base === undefined || (base.protocol !== 'http:' && base.protocol !== 'https:'))
    throw new GantryError('InvalidArgument', `${name}: "${address}" is no http or https address`)
  base.pathname = base.pathname.replace(/\/+$/, '')
  return base
}

/**
 * The base of a mirror, and the folder in which it keeps what is of this registry, with a slash at its end: what
 * follows "/v2/" in the address, where "*" stands for the registry's name. A repository's name may hold no colon: the
 * one before a port becomes "_".
 */
function parseMirror(address: string, registry: string): { readonly base: URL; readonly folder: string } {
  const [, root = address, folder = ''] = /^([^?#]*?)\/v2\/([^?#]*?)\/*$/.exec(address) ?? []
  const named = folder.replaceAll('*', registry.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '_'))
  return {
    base: parseBase(root, `mirror of ${registry === ANY_REGISTRY ? 'registries' : registry}`),
    folder: named === '' ? '' : `${named}/`,
  }
}

/**
 * Host and path. Docker's tools write docker.io's credentials under "https://index.docker.io/v1/", and others' with the
 * version, too.
 */
function normalizeRegistry(registry: string): [host: string, path: string] {
  const [host = '', ...path] = registry
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .split('/')
  const version = path.length === 1 && /^v[12]$/.test(path[0]!)
  return [host === 'index.docker.io' || host === DOCKER_HOST ? 'docker.io' : host, version ? '' : path.join('/')]
}
