/** The entries of a ConfigMap or Secret that `gantry create` takes from its flags and from files of this host. */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { UsageError } from '../../proto/client/failures.ts'
import type { Invocation } from '../../proto/terminal/command.ts'
import type { Environment } from '../../proto/terminal/environment.ts'

export const contentFlags = {
  'from-literal': { type: 'list', value: 'key=value', help: 'one entry; may be repeated' },
  'from-file': {
    type: 'list',
    value: '[key=]file',
    help: 'the content of a file, or of each file in a directory',
    completes: 'file',
  },
  'from-env-file': { type: 'list', value: 'file', help: 'a file with key=value lines', completes: 'file' },
} as const

/** The entries that the flags name, in their order; one key twice is refused. */
export async function contentOf({ flags, environment }: Invocation): Promise<Map<string, Buffer>> {
  const given = flags as unknown as { 'from-literal': string[]; 'from-file': string[]; 'from-env-file': string[] }
  const content = new Map<string, Buffer>()
  const add = (key: string, value: Buffer): void => {
    if (content.has(key)) throw new UsageError(`the key "${key}" is given twice`)
    content.set(key, value)
  }
  for (const literal of given['from-literal']) {
    const at = literal.indexOf('=')
    if (at <= 0) throw new UsageError(`--from-literal="${literal}" is not KEY=VALUE`)
    add(literal.slice(0, at), Buffer.from(literal.slice(at + 1)))
  }
  for (const source of given['from-file'])
    for (const [key, value] of await filesOf(environment, source)) add(key, value)
  for (const file of given['from-env-file']) {
    const lines = (await readLocal(environment, file)).toString('utf8').split(/\r?\n/)
    for (const line of lines.filter((text) => text.trim() !== '' && !text.trimStart().startsWith('#'))) {
      const at = line.indexOf('=')
      if (at <= 0) throw new UsageError(`${file}: "${line}" is not KEY=VALUE`)
      add(line.slice(0, at).trim(), Buffer.from(line.slice(at + 1)))
    }
  }
  return content
}

async function filesOf(environment: Environment, source: string): Promise<[string, Buffer][]> {
  const at = source.indexOf('=')
  if (at === 0) throw new UsageError(`--from-file="${source}" has no key before the "="`)
  if (at > 0) return [[source.slice(0, at), await readLocal(environment, source.slice(at + 1))]]
  const absolute = path.resolve(environment.cwd, source)
  if (!(await isDirectory(absolute, source))) return [[path.basename(source), await readLocal(environment, source)]]
  const entries = (await readdir(absolute, { withFileTypes: true }))
    .filter((found) => found.isFile())
    .map((found) => found.name)
    .sort()
  return Promise.all(
    entries.map(async (name): Promise<[string, Buffer]> => [
      name,
      await readLocal(environment, path.join(source, name)),
    ]),
  )
}

function unreadable(file: string, cause: unknown): GantryError {
  return new GantryError('InvalidArgument', `cannot read ${file}: ${(cause as Error).message}`, { cause })
}

async function isDirectory(absolute: string, source: string): Promise<boolean> {
  try {
    return (await stat(absolute)).isDirectory()
  } catch (thrown) {
    throw unreadable(source, thrown)
  }
}

/** A file of this host, relative to where the command runs; InvalidArgument if it cannot be read. */
export async function readLocal({ cwd }: Environment, file: string): Promise<Buffer> {
  try {
    return await readFile(path.resolve(cwd, file))
  } catch (thrown) {
    throw unreadable(file, thrown)
  }
}
