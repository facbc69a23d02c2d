/**
 * The context file: which clusters a person can reach, as whom, and which of them commands speak to when none is named.
 * `$GANTRY_CONFIG`, else `~/.config/gantry/config.yaml`. context-changes.ts writes it.
 *
 *     contexts:
 *       - name: home
 *         server: ["127.0.0.1:7443"]
 *         kube: ["127.0.0.1:6443"]
 *         ca: |
 *           -----BEGIN CERTIFICATE----- …
 *         cert: client.crt
 *         key: client.key
 *         namespace: default
 *     currentContext: home
 *
 * `ca`, `cert` and `key` are PEM text or the path of a file, relative to the folder of the context file.
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { GantryError } from '../base/errors.ts'
import { parseContextText } from './context-text.ts'

export interface Context {
  readonly name: string
  /** Controllers as host:port; any of them serves. */
  readonly server: readonly string[]
  /** Their Kubernetes API as host:port; port 6443 of the same hosts if absent. */
  readonly kube?: readonly string[] | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name to expect in the server's certificate when it is not the host's. */
  readonly serverName?: string | undefined
  /** Where commands look when no namespace is given; "default" if absent. */
  readonly namespace?: string | undefined
}

export interface Contexts {
  readonly contexts: readonly Context[]
  readonly currentContext?: string | undefined
}

/** PEM texts, as `connect` in rpc.ts takes them. */
export interface Credentials {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly serverName?: string
}

/** Where controllers serve it unless they are told otherwise. */
const KUBE_PORT = 6443

/** In the order in which they are written. */
export const CONTEXT_FIELDS = ['name', 'server', 'kube', 'ca', 'cert', 'key', 'serverName', 'namespace'] as const

export function contextFilePath(env: Readonly<Record<string, string | undefined>>): string {
  if (env.GANTRY_CONFIG !== undefined && env.GANTRY_CONFIG !== '') return path.resolve(env.GANTRY_CONFIG)
  const configHome =
    env.XDG_CONFIG_HOME !== undefined && env.XDG_CONFIG_HOME !== ''
      ? env.XDG_CONFIG_HOME
      : path.join(env.HOME ?? homedir(), '.config')
  return path.join(configHome, 'gantry', 'config.yaml')
}

/**
 * What the file says; no file means no contexts. InvalidArgument for a file that is not of this form. It is read at
 * once, as credentials are: to have another thread do so takes longer.
 */
export async function readContexts(file: string): Promise<Contexts> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { contexts: [] }
    throw new GantryError('Forbidden', `cannot read the context file ${file}: ${(thrown as Error).message}`, {
      cause: thrown,
    })
  }
  return checkContexts(file, await parseText(file, text))
}

/**
 * The PEM texts of a context, read from their files where it names files. Undefined for a context without any of them:
 * a connection in the clear, which only tests on loopback serve.
 */
export async function loadCredentials(context: Context, file: string): Promise<Credentials | undefined> {
  const { ca, cert, key, serverName } = context
  if (ca === undefined && cert === undefined && key === undefined) return undefined
  const read = async (field: 'ca' | 'cert' | 'key', value: string | undefined): Promise<string> => {
    if (value === undefined)
      throw new GantryError(
        'InvalidArgument',
        `context ${context.name} in ${file} has no ${field}: ca, cert and key belong together`,
      )
    if (value.includes('-----BEGIN ')) return value
    const pem = path.resolve(path.dirname(file), value)
    try {
      return readFileSync(pem, 'utf8')
    } catch (cause) {
      throw new GantryError(
        'InvalidArgument',
        `context ${context.name} in ${file}: cannot read ${field}: ${(cause as Error).message}`,
        { cause },
      )
    }
  }
  const [caText, certText, keyText] = await Promise.all([read('ca', ca), read('cert', cert), read('key', key)])
  return { ca: caText, cert: certText, key: keyText, ...(serverName === undefined ? {} : { serverName }) }
}

async function parseText(file: string, text: string): Promise<unknown> {
  const written = parseContextText(text)
  if (written !== undefined) return written
  const { parse } = await import('yaml')
  try {
    return parse(text)
  } catch (cause) {
    const { linePos, message } = cause as { linePos?: [{ line: number; col: number }]; message: string }
    const place = linePos === undefined ? file : `${file}:${linePos[0].line}:${linePos[0].col}`
    throw new GantryError('InvalidArgument', `${place}: ${message.split('\n')[0]}`, { cause })
  }
}

function checkContexts(file: string, value: unknown): Contexts {
  const wrong = (message: string): GantryError => new GantryError('InvalidArgument', `${file}: ${message}`)
  if (value === null || value === undefined) return { contexts: [] }
  if (typeof value !== 'object' || Array.isArray(value))
    throw wrong('a map with "contexts" and "currentContext" is expected')
  const { contexts = [], currentContext, ...rest } = value as Record<string, unknown>
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw wrong(`"${unknown}" is not a field; "contexts" and "currentContext" are`)
  if (!Array.isArray(contexts)) throw wrong('contexts: a list is expected')
  if (currentContext !== undefined && typeof currentContext !== 'string')
    throw wrong('currentContext: text is expected')
  return {
    contexts: contexts.map((context, index) => checkContext(context, `contexts[${index}]`, wrong)),
    currentContext,
  }
}

function checkContext(value: unknown, at: string, wrong: (message: string) => GantryError): Context {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(`${at}: a map is expected`)
  const fields = value as Record<string, unknown>
  for (const [field, item] of Object.entries(fields)) {
    if (!(CONTEXT_FIELDS as readonly string[]).includes(field))
      throw wrong(`${at}.${field} is not a field; fields are ${CONTEXT_FIELDS.join(', ')}`)
    if (field !== 'server' && field !== 'kube' && typeof item !== 'string')
      throw wrong(`${at}.${field}: text is expected`)
  }
  if (fields.name === undefined || fields.name === '') throw wrong(`${at}.name is required`)
  const addresses = (field: 'server' | 'kube'): readonly string[] => {
    const list = typeof fields[field] === 'string' ? [fields[field]] : fields[field]
    if (
      Array.isArray(list) &&
      list.length > 0 &&
      list.every((address) => typeof address === 'string' && /^.+:\d+$/.test(address))
    )
      return list as string[]
    throw wrong(`${at}.${field}: a list of host:port is expected`)
  }
  return {
    ...fields,
    server: addresses('server'),
    ...(fields.kube !== undefined && { kube: addresses('kube') }),
  } as unknown as Context
}

/** host:port of the Kubernetes API of each controller. */
export function kubeAddresses({ kube, server }: Context): readonly string[] {
  return kube ?? server.map((address) => address.replace(/\d+$/, String(KUBE_PORT)))
}
