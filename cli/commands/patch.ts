/** `gantry patch`: changes parts of an object. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { sameJson } from '../../proto/base/json.ts'
import { encodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { JsonObject, JsonValue, PatchRequestType } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'

const TYPES: Record<string, PatchRequestType> = { strategic: 'STRATEGIC', merge: 'MERGE', json: 'JSON' }

export default defineCommand({
  usage: '(TYPE NAME… | TYPE/NAME…) (-p PATCH | --patch-file FILE) [--type strategic|merge|json] [flags]',
  summary: 'change parts of an object',
  examples: [
    `gantry patch deploy/web -p '{"spec":{"replicas":3}}'`,
    `gantry patch pod web --type json -p '[{"op":"remove","path":"/metadata/labels/old"}]'`,
  ],
  flags: {
    patch: { type: 'text', short: 'p', value: 'patch', help: 'the patch, as JSON or YAML' },
    'patch-file': { type: 'text', value: 'file', help: 'a file with the patch', completes: 'file' },
    type: {
      type: 'text',
      value: 'type',
      default: 'strategic',
      choices: ['strategic', 'merge', 'json'],
      help: 'strategic: lists merge by key; merge: RFC 7386; json: RFC 6902',
    },
    subresource: { type: 'text', value: 'name', choices: ['status'], help: 'status: change the status instead' },
    'dry-run': dryRunFlag,
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'kinds-and-names',
  async run({ flags, args, environment, target }) {
    const operands = parseOperands(args, environment.kinds)
    if (operands.are !== 'names') throw new UsageError(`which ${args[0]}? A name is missing`)
    if ((flags.patch === undefined) === (flags['patch-file'] === undefined))
      throw new UsageError('give the patch with -p or --patch-file')
    const dryRun = parseDryRun(flags['dry-run'])
    if (dryRun === 'client')
      throw new UsageError('--dry-run=client: only the server can merge a patch', 'use --dry-run=server')
    const format = parseFormat(flags.output)
    const text = flags.patch ?? (await readText(path.resolve(environment.cwd, flags['patch-file']!)))
    const patch = await parsePatch(text, flags['patch-file'] ?? '-p')
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    for (const { kind, name } of operands.names) {
      const before = await cluster.get(kind, namespace, name)
      const after = await cluster.patch(kind, namespace, name, TYPES[flags.type]!, patch, {
        dryRun: dryRun === 'server',
        subresource: flags.subresource,
      })
      if (format.is !== 'table') environment.stdout.write(await formatObjects(format, [after], true))
      else
        environment.stdout.write(
          `${kindWord(kind)}/${name} patched${sameContent(encodeJson(before), encodeJson(after)) ? ' (no change)' : ''}${dryRunNote(dryRun)}\n`,
        )
    }
    return EXIT.ok
  },
})

/** Apart from the bookkeeping of the write itself. */
function sameContent(before: JsonObject, after: JsonObject): boolean {
  const content = (object: JsonObject): JsonObject => {
    const { managedFields: _, resourceVersion: __, ...metadata } = object.metadata as JsonObject
    return { ...object, metadata }
  }
  return sameJson(content(before), content(after))
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new GantryError('InvalidArgument', `cannot read the patch: ${(cause as Error).message}`, { cause })
  }
}

async function parsePatch(text: string, where: string): Promise<JsonValue> {
  const { parse } = await import('yaml')
  let patch: unknown
  try {
    patch = parse(text)
  } catch (cause) {
    throw new UsageError(
      `${where}: the patch is neither JSON nor YAML: ${(cause as Error).message.split('\n')[0]!.replace(/:$/, '')}`,
    )
  }
  if (typeof patch !== 'object' || patch === null)
    throw new UsageError(`${where}: a patch is an object or a list, not "${text.trim()}"`)
  return patch as JsonValue
}
