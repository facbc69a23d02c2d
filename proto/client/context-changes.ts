/**
 * Changes of the context file (context.ts). It has mode 0600, because client keys may stand in it, and is written whole
 * by rename, under a lock.
 */
import { chmod, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { delay, systemClock } from '../base/clock.ts'
import { GantryError } from '../base/errors.ts'
import { CONTEXT_FIELDS, readContexts, type Context, type Contexts } from './context.ts'

const LOCK_STALE_MS = 10_000
const LOCK_WAIT_MS = 5_000

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
    Object.fromEntries(
      CONTEXT_FIELDS.flatMap((field) => (context[field] === undefined ? [] : [[field, context[field]]])),
    ),
  )
  return stringify({
    contexts: list,
    ...(contexts.currentContext === undefined ? {} : { currentContext: contexts.currentContext }),
  })
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
