/**
 * Names of images: `[registry/]repository[:tag][@digest]`, with Docker's short forms ("busybox" is
 * docker.io/library/busybox:latest).
 * Grammar: https://github.com/distribution/reference/blob/v0.6.0/reference.go and
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
 */
import { GantryError } from '../../proto/base/errors.ts'

export interface Reference {
  /** Host, with a port if it names one: "docker.io", "127.0.0.1:5000". */
  readonly registry: string
  /** "library/busybox" */
  readonly repository: string
  /** '' if a digest stands alone. */
  readonly tag: string
  /** "sha256:…", or '' if there is only a tag. With both, the digest decides what is pulled. */
  readonly digest: string
}

const DEFAULT_REGISTRY = 'docker.io'
const HOST =
  /^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::[0-9]{1,5})?$/
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** The parts of a reference, short forms made long. InvalidArgument says which part is wrong. */
export function parseReference(text: string): Reference {
  const refuse = (reason: string): never => {
    throw new GantryError('InvalidArgument', `image reference "${text}": ${reason}`, {
      details: [{ field: 'image', value: text, message: reason }],
    })
  }
  if (text === '') return refuse('is empty')
  const at = text.indexOf('@')
  const digest = at < 0 ? '' : text.slice(at + 1)
  if (at >= 0 && !isDigest(digest)) return refuse(`digest "${digest}" is not sha256: and 64 hexadecimal digits`)
  const named = at < 0 ? text : text.slice(0, at)

  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? '' : named.slice(colon + 1)
  if (colon >= 0 && !TAG.test(tag)) return refuse(`tag "${tag}" is not 1 to 128 letters, digits, "_", "." or "-"`)
  const name = colon < 0 ? named : named.slice(0, colon)

  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const hasHost = first === 'localhost' || /[.:A-Z[]/.test(first)
  const host = hasHost ? first : DEFAULT_REGISTRY
  const path = hasHost ? name.slice(slash + 1) : name
  if (!HOST.test(host)) return refuse(`registry "${host}" is not a host name or address`)
  const registry = host === 'index.docker.io' || host === 'registry-1.docker.io' ? DEFAULT_REGISTRY : host
  const repository = registry === DEFAULT_REGISTRY && path !== '' && !path.includes('/') ? `library/${path}` : path
  if (repository.length > 255) return refuse('repository is longer than 255 characters')
  for (const component of repository.split('/')) {
    if (!COMPONENT.test(component)) {
      return refuse(
        /[A-Z]/.test(component)
          ? `repository "${repository}" has upper-case letters`
          : `repository "${repository}" is not lower-case words divided by "/", ".", "_" or "-"`,
      )
    }
  }
  return { registry, repository, tag: tag === '' && digest === '' ? 'latest' : tag, digest }
}

/** The normal text of a reference: the same image always has the same. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === '' ? '' : `:${tag}`}${digest === '' ? '' : `@${digest}`}`
}

/** "sha256:" and 64 hexadecimal digits: the one algorithm that registries use. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

/** The 64 digits of a digest. */
export function digestHex(digest: string): string {
  if (!isDigest(digest)) throw new GantryError('InvalidArgument', `"${digest}" is not a sha256 digest`)
  return digest.slice('sha256:'.length)
}
