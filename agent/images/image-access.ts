/**
 * Who may use an image that is on the node. Whoever pulled it has shown its registry that he may; another pod without
 * those credentials is not given it for nothing, but has to show so, too.
 * https://kubernetes.io/docs/concepts/containers/images/#ensureimagepullcredentialverification
 */
import { createHash, randomBytes } from 'node:crypto'
import type { RegistriesConfig } from './contract.ts'
import { endpoints, type Repository } from './registry/endpoint.ts'

export interface ImageAccess {
  /** The registry gave it to somebody without credentials: to everybody. */
  readonly anonymous: boolean
  /** Of the credentials with which the registry gave it: "SALT:DIGEST" each, the newest last. */
  readonly credentials: readonly string[]
}

/** Credentials remembered of one image; who is forgotten has to ask the registry again. */
const MAX_REMEMBERED_CREDENTIALS = 64

/** What a registry and its mirrors would be shown for a repository; undefined: nothing. It is a secret. */
export function credentialText(repository: Repository, config: RegistriesConfig): string | undefined {
  const shown = endpoints(repository, config).flatMap(({ base, credential }) =>
    credential === undefined ? [] : [[base.href, credential.username, credential.password]],
  )
  return shown.length === 0 ? undefined : JSON.stringify(shown)
}

/**
 * Whether an image is theirs without asking its registry. `access` is undefined for an image that nobody pulled: it was
 * put on the node by whoever runs it, for all. `text` is only asked for where it counts.
 */
export function isAccessAllowed(access: ImageAccess | undefined, text: () => string | undefined): boolean {
  if (access === undefined || access.anonymous) return true
  const shown = text()
  return shown !== undefined && access.credentials.some((entry) => matches(entry, shown))
}

/** The registry has given the image to whoever shows this. */
export function grantAccess(access: ImageAccess | undefined, text: string | undefined): ImageAccess {
  const { anonymous, credentials } = access ?? { anonymous: false, credentials: [] }
  if (text === undefined) return { anonymous: true, credentials }
  if (credentials.some((entry) => matches(entry, text))) return { anonymous, credentials }
  const salt = randomBytes(16).toString('hex')
  return {
    anonymous,
    credentials: [...credentials, `${salt}:${digest(salt, text)}`].slice(-MAX_REMEMBERED_CREDENTIALS),
  }
}

function matches(entry: string, text: string): boolean {
  const [salt = '', known] = entry.split(':')
  return digest(salt, text) === known
}

function digest(salt: string, text: string): string {
  return createHash('sha256').update(`${salt}\0${text}`).digest('hex')
}
