/** `gantry events`: what happened, and what happens. */
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { Event } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { colorStatus, palette } from '../../proto/terminal/output/color.ts'
import { eventAge, eventObject } from '../../proto/objects/columns/columns.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { Table } from '../../proto/terminal/output/table.ts'
import { UsageError } from '../../proto/client/failures.ts'

const TYPES = ['Normal', 'Warning']

export default defineCommand({
  usage: '[flags]',
  summary: 'show what happened',
  description: 'Shows what happened to objects, oldest first. Events are kept for seven days.',
  examples: ['gantry events', 'gantry events --for pod/web-1 -w', 'gantry events -A --types=Warning --since 1h'],
  flags: {
    'all-namespaces': { type: 'boolean', short: 'A', help: 'of every namespace' },
    for: { type: 'text', value: 'type/name', help: 'about one object' },
    types: { type: 'list', commas: true, value: 'types', help: 'Normal, Warning or both' },
    since: { type: 'duration', value: 'time', help: 'what happened in this time, such as 1h' },
    watch: { type: 'boolean', short: 'w', help: 'go on with what happens from now on' },
    'no-headers': { type: 'boolean', help: 'rows only' },
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'none',
  async run({ flags, args, environment, target }) {
    if (args.length > 0)
      throw new UsageError(`"${args[0]}" is not expected here`, 'one object is named with --for TYPE/NAME')
    const types = flags.types.map(
      (type) => TYPES.find((known) => known.toLowerCase() === type.toLowerCase()) ?? unknownType(type),
    )
    const format = parseFormat(flags.output)
    const about = flags.for === undefined ? undefined : objectOf(flags.for, environment.kinds)
    const everywhere = flags['all-namespaces'] || (about !== undefined && !resourceOf(about.kind).namespaced)
    const cluster = await target.cluster()
    const stream = cluster.events({
      namespace: everywhere ? '' : await target.namespace(),
      ...(about === undefined ? {} : { kind: about.kind, name: about.name }),
      since: flags.since === undefined ? '' : formatTime(environment.clock.now() - flags.since),
      follow: flags.watch,
      type: new Set(types).size === 1 ? types[0]! : '',
    })
    const colors = palette(environment.stdout, environment.env)
    const header = [
      ...(flags['all-namespaces'] ? ['NAMESPACE'] : []),
      'LAST SEEN',
      'TYPE',
      'REASON',
      'OBJECT',
      'MESSAGE',
    ]
    const row = (event: Event): string[] => [
      ...(flags['all-namespaces'] ? [event.metadata.namespace] : []),
      eventAge(event, environment.clock.now()),
      event.type === 'Warning' ? colors.yellow('Warning') : colorStatus(event.type ?? '', colors),
      event.reason ?? '',
      eventObject(event),
      (event.message ?? '').trim(),
    ]
    if (flags.watch) {
      const table = new Table()
      let lines = 0
      for await (const event of stream) {
        if (format.is !== 'table') environment.stdout.write(await formatObjects(format, [event], true))
        else
          environment.stdout.write(
            table
              .format([...(lines++ === 0 && !flags['no-headers'] ? [header] : []), row(event)])
              .map((line) => `${line}\n`)
              .join(''),
          )
      }
      return EXIT.ok
    }
    const events: Event[] = []
    for await (const event of stream) events.push(event)
    if (format.is !== 'table') environment.stdout.write(await formatObjects(format, events, false))
    else if (events.length === 0)
      environment.stderr.write(
        everywhere ? 'No events found.\n' : `No events found in ${await target.namespace()} namespace.\n`,
      )
    else
      environment.stdout.write(
        new Table()
          .format([...(flags['no-headers'] ? [] : [header]), ...events.map(row)])
          .map((line) => `${line}\n`)
          .join(''),
      )
    return EXIT.ok
  },
})

function unknownType(type: string): never {
  throw new UsageError(`--types=${type}: it is ${TYPES.join(' or ')}`)
}

function objectOf(text: string, known: KnownKinds): { kind: Parameters<typeof resourceOf>[0]; name: string } {
  const operands = parseOperands([text], known)
  if (operands.are !== 'names') throw new UsageError(`--for="${text}" is not TYPE/NAME, such as pod/web-1`)
  return operands.names[0]!
}
