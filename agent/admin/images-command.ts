/** `gantry-agent images`: asks the agent that runs on this machine about its images. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import { connect } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { LoadChunk } from '../../proto/gen/types.ts'
import { socketPath } from './local-server.ts'

const USAGE = `Shows and loads images of the agent that runs on this machine.

usage: gantry-agent images list [--run-dir DIR]
       gantry-agent images load [FILE] [--name REPOSITORY:TAG] [--run-dir DIR]

  FILE           an archive: an OCI image layout or what \`docker save\` writes, as tar, perhaps compressed (default: standard input)
  --name NAME    the name of the image, if the archive holds one image or one without a name
  --run-dir DIR  the agent's setting runDir (default: /run/gantry/agent)
`
const DEFAULT_RUN_DIR = '/run/gantry/agent'
/** Bytes of a message: far below gRPC's limit of four megabytes. */
const CHUNK = 1 << 20

export interface Streams {
  readonly stdin: AsyncIterable<Buffer>
  readonly stdout: { write(text: string): unknown }
}

/**
 * `words`: what follows "images". Prints one line an image: its name and digest. InvalidArgument for words that it does
 * not know.
 */
export async function runImagesCommand(words: readonly string[], { stdin, stdout }: Streams): Promise<void> {
  const { verb, file, name, runDir, help } = parse(words)
  if (help) return void stdout.write(USAGE)
  const connection = connect(`unix:${socketPath(runDir)}`)
  try {
    const images = connection.client('Images')
    if (verb === 'list') {
      for (const image of (await images.list({})).images) stdout.write(`${image.reference} ${image.digest}\n`)
    } else {
      for await (const image of images.load(chunks(file === undefined ? stdin : await contentOf(file), name)))
        stdout.write(`${image.reference} ${image.digest}\n`)
    }
  } catch (thrown) {
    if (!GantryError.is(thrown, 'Unavailable')) throw thrown
    throw new GantryError('Unavailable', `no agent answers on ${socketPath(runDir)}`, {
      cause: thrown,
      details: [{ field: 'runDir', value: runDir, remedy: 'start the agent, or name its runDir with --run-dir' }],
    })
  } finally {
    connection.close()
  }
}

function parse(words: readonly string[]): {
  verb: 'list' | 'load'
  file: string | undefined
  name: string
  runDir: string
  help: boolean
} {
  const { values, positionals } = (() => {
    try {
      return parseArgs({
        args: [...words],
        allowPositionals: true,
        options: {
          name: { type: 'string', default: '' },
          'run-dir': { type: 'string', default: DEFAULT_RUN_DIR },
          help: { type: 'boolean', short: 'h', default: false },
        },
      })
    } catch (cause) {
      throw usage((cause as Error).message, cause)
    }
  })()
  const [verb, file, ...more] = positionals
  if (!values.help && verb !== 'list' && verb !== 'load')
    throw usage(verb === undefined ? 'list or load?' : `unknown command "images ${verb}"`)
  if (more.length > 0 || (verb === 'list' && file !== undefined))
    throw usage(`"${more[0] ?? file}" is one word too many`)
  return {
    verb: verb === 'list' ? 'list' : 'load',
    file,
    name: values.name,
    runDir: values['run-dir'],
    help: values.help,
  }
}

function usage(problem: string, cause?: unknown): GantryError {
  return new GantryError('InvalidArgument', `${problem} (gantry-agent images --help tells what there is)`, { cause })
}

async function contentOf(file: string): Promise<AsyncIterable<Buffer>> {
  try {
    const handle = await open(file, 'r')
    return createReadStream(file, { fd: handle, highWaterMark: CHUNK })
  } catch (cause) {
    throw new GantryError(GantryError.from(cause).code, `cannot read ${file}: ${(cause as Error).message}`, { cause })
  }
}

async function* chunks(archive: AsyncIterable<Buffer>, name: string): AsyncGenerator<Input<LoadChunk>> {
  let first = true
  for await (const piece of archive) {
    for (let start = 0; start < piece.length; start += CHUNK) {
      yield { name: first ? name : '', content: piece.subarray(start, start + CHUNK) }
      first = false
    }
  }
}
