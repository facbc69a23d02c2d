/** Files out of a running container and into it. The agent packs and unpacks itself: nothing is needed in the image. */
import { posix } from 'node:path'
import { readArchive } from '../../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CopyInput, CopyOutput, CopyStart } from '../../../proto/gen/types.ts'
import type { StreamTarget } from '../target.ts'
import { ContainerFiles } from './container-files.ts'
import { Packer } from './pack.ts'
import { Unpacker } from './unpack.ts'

/** What is at the path, links followed. NotFound, Forbidden; FailedPrecondition: the container does not run. */
export async function* copyOut(
  target: StreamTarget,
  start: CopyStart,
  signal: AbortSignal,
): AsyncGenerator<CopyOutput, void, undefined> {
  const files = new ContainerFiles(target.running(start.container).pid)
  const path = await files.absolute(start.path)
  const source = await files.find(path)
  const packer = new Packer(files, signal)
  const packing = packer.write(source, path)
  try {
    for await (const archive of packer.archive.pieces()) yield { output: { case: 'archive', value: archive } }
  } finally {
    await packing
    await source.close()
  }
  yield {
    output: { case: 'end', value: { files: packer.files, bytes: packer.bytes, warnings: packer.warnings.list() } },
  }
}

/**
 * As cp(1) does: into a directory that is there under the name given, else under the path itself, whose directory must
 * be there.
 */
export async function* copyInto(
  target: StreamTarget,
  start: CopyStart,
  inputs: AsyncIterable<CopyInput>,
  signal: AbortSignal,
): AsyncGenerator<CopyOutput, void, undefined> {
  const files = new ContainerFiles(target.running(start.container).pid)
  const unpacker = new Unpacker(files, await placeFor(files, start), !start.noPreserve)
  try {
    await readArchive(archiveIn(inputs, signal), (entry, content) => unpacker.take(entry, content))
  } finally {
    await unpacker.close()
  }
  yield {
    output: {
      case: 'end',
      value: { files: unpacker.files, bytes: unpacker.bytes, warnings: unpacker.warnings.list() },
    },
  }
}

async function placeFor(files: ContainerFiles, { path, name }: CopyStart): Promise<string> {
  const asked = await files.absolute(path)
  if (name.includes('/') || name === '..' || name === '.')
    throw new GantryError('InvalidArgument', `"${name}" is no name of a file`, {
      details: [{ field: 'name', value: name }],
    })
  const there = await files.findIfThere(asked)
  try {
    return name !== '' && (await there?.stat())?.isDirectory() === true
      ? posix.join(asked, name)
      : asked.replace(/(.)\/+$/, '$1')
  } finally {
    await there?.close()
  }
}

/** The archive in what is sent; Unavailable if that ends before it is complete. */
async function* archiveIn(
  inputs: AsyncIterable<CopyInput>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { input } of inputs) {
    switch (input?.case) {
      case 'archive':
        yield input.value
        break
      case 'end':
        return
      case 'start':
      case undefined:
        break
    }
  }
  throw signal.aborted
    ? GantryError.from(signal.reason, 'Cancelled')
    : new GantryError('Unavailable', 'the copy was cut off before it was complete')
}
