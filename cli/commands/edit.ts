/** `gantry edit`: changes an object in the person's editor. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { parseManifests } from '../../proto/codec/manifest.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import type { AnyResource, JsonObject } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { mergeEdits } from '../concurrent-edits.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT, formatFailure } from '../../proto/terminal/failure.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { shownJson } from '../output/format.ts'
import { formatYaml } from '../../proto/base/yaml-text.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'

export default defineCommand({
  usage: '(TYPE NAME | TYPE/NAME…) [flags]',
  summary: 'change objects in an editor',
  description:
    'Opens objects in $GANTRY_EDITOR, $EDITOR or vi and writes back what was changed, and only that: what others change meanwhile stays. If it is refused the editor opens again with the reason on top.',
  examples: ['gantry edit deploy/web', 'EDITOR=nano gantry edit configmap settings'],
  flags: {},
  completes: 'kinds-and-names',
  async run({ args, environment, target }) {
    const operands = parseOperands(args, environment.kinds)
    if (operands.are !== 'names') throw new UsageError(`which ${args[0]}? A name is missing`)
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    for (const { kind, name } of operands.names)
      await editOne(cluster, environment, await cluster.get(kind, namespace, name))
    return EXIT.ok
  },
})

/** Of a write that met those of others. */
const ATTEMPTS = 5

const HEAD =
  '# Change the object below; lines that begin with "#" are left out. An empty file, or no change, leaves it as it is.\n'

async function editOne(cluster: ClusterClient, environment: Environment, object: AnyResource): Promise<void> {
  const { kind, metadata } = object
  const word = `${kindWord(kind)}/${metadata.name}`
  const directory = await mkdtemp(path.join(tmpdir(), 'gantry-edit-'))
  const file = path.join(directory, `${kind.toLowerCase()}-${metadata.name}.yaml`)
  const base = shownJson(object, false)
  let kept = false
  try {
    let text = formatYaml(base)
    let reason = ''
    for (;;) {
      const before = text
      await writeFile(file, `${HEAD}${reason}${text}`, { mode: 0o600 })
      await openEditor(environment, file)
      text = withoutComments(await readFile(file, 'utf8'))
      if (text.trim() === '' || text === before) {
        if (reason !== '') {
          kept = text.trim() !== ''
          throw new GantryError(
            'FailedPrecondition',
            `${word} stays as it was: nothing more was changed after it was refused${kept ? `; what was written is kept in ${file}` : ''}`,
          )
        }
        environment.stdout.write('Edit cancelled, no changes made.\n')
        return
      }
      try {
        await save(cluster, object, base, edited(text, file, object, environment.kinds))
        environment.stdout.write(`${word} edited\n`)
        return
      } catch (thrown) {
        const error = GantryError.from(thrown)
        if (error.code === 'Unavailable' || error.code === 'DeadlineExceeded' || error.code === 'Cancelled') {
          kept = true
          environment.stderr.write(`What was written is kept in ${file}\n`)
          throw error
        }
        const told = formatFailure(error, undefined)
        reason = `#\n${told
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => `# ${line}`)
          .join('\n')}\n#\n`
        environment.stderr.write(told)
      }
    }
  } finally {
    if (!kept) await rm(directory, { recursive: true, force: true })
  }
}

function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
}

/**
 * Makes the change from `base` to `wanted` in the object as it is now. Conflict names what another has changed, too.
 */
async function save(
  cluster: ClusterClient,
  { kind, metadata: { namespace, name } }: AnyResource,
  base: JsonObject,
  wanted: JsonObject,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const live: AnyResource = await cluster.get(kind, namespace, name)
    const { value, conflicts } = mergeEdits(base, wanted, shownJson(live, false))
    if (conflicts.length > 0) {
      throw new GantryError('Conflict', `${kindWord(kind)}/${name} was changed by another meanwhile`, {
        details: conflicts.map(({ path: field, theirs }) => ({
          field,
          message: theirs === undefined ? 'is gone now' : `is ${JSON.stringify(theirs)} now`,
          remedy: 'write the same, or edit again from what it is now',
        })),
      })
    }
    const { metadata, ...rest } = decodeJson(kind, value as JsonObject)
    try {
      await cluster.update({
        ...rest,
        metadata: { ...metadata, managedFields: live.metadata.managedFields },
      } as AnyResource)
      return
    } catch (thrown) {
      if (attempt === ATTEMPTS || !GantryError.is(thrown, 'Conflict')) throw thrown
    }
  }
}

function edited(text: string, file: string, before: AnyResource, known: KnownKinds): JsonObject {
  const documents = parseManifests(text, path.basename(file), known)
  const [document] = documents
  if (document === undefined || documents.length > 1)
    throw new GantryError('InvalidArgument', `one object is expected, the file has ${documents.length}`)
  const { kind, metadata } = document.object
  if (
    kind !== before.kind ||
    metadata.name !== before.metadata.name ||
    metadata.namespace !== before.metadata.namespace
  ) {
    throw new GantryError('InvalidArgument', 'kind, name and namespace say which object it is and cannot be changed')
  }
  return document.json
}

async function openEditor(environment: Environment, file: string): Promise<void> {
  const [program, ...args] = (environment.env.GANTRY_EDITOR ?? environment.env.EDITOR ?? 'vi')
    .split(/\s+/)
    .filter((word) => word !== '')
  try {
    const exit = await environment.runOnTerminal(program ?? 'vi', [...args, file])
    if (exit !== 0)
      throw new GantryError('FailedPrecondition', `the editor ${program} ended with ${exit}; nothing was changed`)
  } catch (thrown) {
    if (thrown instanceof GantryError) throw thrown
    throw new GantryError('FailedPrecondition', `cannot start the editor ${program}: ${(thrown as Error).message}`, {
      details: [{ remedy: '$EDITOR names another' }],
      cause: thrown,
    })
  }
}
