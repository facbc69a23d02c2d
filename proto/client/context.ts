/**
 * The context file: which clusters a person can reach, as whom, and which of them commands speak to when none is named.
 * `$GANTRY_CONFIG`, else `~/.config/gantry/config.yaml`. Mode 0600, because client keys may stand in it. Written whole
 * by rename, under a lock.
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
import { chmod, mkdir, open, readFile, rename, rm, stat, unlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { delay, systemClock } from '../base/clock.ts'
import { GantryError } from '../base/errors.ts'

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

const LOCK_STALE_MS = 10_000
const LOCK_WAIT_MS = 5_000
const FIELDS = ['name', 'server', 'kube', 'ca', 'cert', 'key', 'serverName', 'namespace'] as const

export function contextFilePath(env: Readonly<Record<string, string | undefined>>): string {
  if (env.GANTRY_CONFIG !== undefined && env.GANTRY_CONFIG !== '') return path.resolve(env.GANTRY_CONFIG)
  const configHome =
    env.XDG_CONFIG_HOME !== undefined && env.XDG_CONFIG_HOME !== ''
      ? env.XDG_CONFIG_HOME
      : path.join(env.HOME ?? homedir(), '.config')
  return path.join(configHome, 'gantry', 'config.yaml')
}

/** What the file says; no file means no contexts. InvalidArgument for a file that is not of this form. */
export async function readContexts(file: string): Promise<Contexts> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { contexts: [] }
    throw new GantryError('Forbidden', `cannot read the context file ${file}: ${(thrown as Error).message}`, {
      cause: thrown,
    })
  }
  return checkContexts(file, await parseText(file, text))
}

/** Adds a context or replaces the one of its name. The first one ever added becomes the current one. */
export async function upsertContext(
  file: string,
  context: Context,
  options: { makeCurrent?: boolean } = {},
): Promise<void> {
  await changeContexts(file, ({ contexts, currentContext }) => {
    const known = contexts.some((other) => other.name === context.name)
    return {
      contexts: known
        ? contexts.map((other) => (other.name === context.name ? context : other))
        : [...contexts, context],
      currentContext: options.makeCurrent === true ? context.name : (currentContext ?? context.name),
    }
  })
}

/** Removes a context; false if there was none. When it was the current one, none is current afterwards. */
export async function removeContext(file: string, name: string): Promise<boolean> {
  let removed = false
  await changeContexts(file, ({ contexts, currentContext }) => {
    removed = contexts.some((context) => context.name === name)
    return {
      contexts: contexts.filter((context) => context.name !== name),
      currentContext: currentContext === name ? undefined : currentContext,
    }
  })
  return removed
}

/** Reads, changes and writes under the file's lock, so that two writers at once both take effect. */
export async function changeContexts(file: string, change: (contexts: Contexts) => Contexts): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  const release = await lock(`${file}.lock`)
  try {
    const next = change(await readContexts(file))
    await writeWhole(file, await formatContexts(next))
  } finally {
    await release()
  }
}

/** The file's text. */
export async function formatContexts(contexts: Contexts): Promise<string> {
  const { stringify } = await import('yaml')
  const list = contexts.contexts.map((context) =>
    Object.fromEntries(FIELDS.flatMap((field) => (context[field] === undefined ? [] : [[field, context[field]]]))),
  )
  return stringify({
    contexts: list,
    ...(contexts.currentContext === undefined ? {} : { currentContext: contexts.currentContext }),
  })
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
      return await readFile(pem, 'utf8')
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
    if (!(FIELDS as readonly string[]).includes(field))
      throw wrong(`${at}.${field} is not a field; fields are ${FIELDS.join(', ')}`)
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

/** Takes a lock file; answers with its release. A lock of a writer that died is taken over after ten seconds. */
async function lock(file: string): Promise<() => Promise<void>> {
  const until = systemClock.monotonic() + LOCK_WAIT_MS + LOCK_STALE_MS
  for (;;) {
    try {
      const handle = await open(file, 'wx', 0o600)
      await handle.close()
      return () => rm(file, { force: true })
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new GantryError('Forbidden', `cannot write beside the context file: ${(cause as Error).message}`, {
          cause,
        })
      if (systemClock.monotonic() > until)
        throw new GantryError('Unavailable', `another program holds ${file}; remove it if none runs`, { cause })
    }
    if (await isStale(file)) await rm(file, { force: true })
    else await delay(systemClock, 20)
  }
}

async function isStale(file: string): Promise<boolean> {
  try {
    return systemClock.now() - (await stat(file)).mtimeMs > LOCK_STALE_MS
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw thrown
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.new`
  try {
    const handle = await open(temporary, 'w', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await chmod(temporary, 0o600)
    await rename(temporary, file)
  } catch (cause) {
    await unlink(temporary).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'ENOENT') throw thrown
    })
    throw new GantryError('Forbidden', `cannot write the context file ${file}: ${(cause as Error).message}`, { cause })
  }
}
