/** `gantry rig kill`, `partition` and so on: one command for each fault type, made of its parameters. */
import { defineCommand, type Command, type Entry } from '../../../proto/terminal/command.ts'
import { UsageError } from '../../../proto/client/failures.ts'
import type { Flag, Flags } from '../../../proto/terminal/flags.ts'
import { formatDuration } from '../../../proto/base/duration.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { openDriver } from '../drivers/index.ts'
import type { FaultRecord, FaultType, Parameter, ParameterType } from '../faults/contract.ts'
import { FaultEngine } from '../faults/fault-engine.ts'
import { faultTypes } from '../faults/index.ts'
import { operandNames, placeOperands } from '../faults/values.ts'
import { requireRig } from '../rig-record.ts'
import { rigFaultBackend } from '../rig-fault-backend.ts'

/** What stands for a value in help. */
const PLACEHOLDER: Readonly<Record<ParameterType, string>> = {
  machine: 'machine',
  machines: 'machines',
  target: 'target',
  duration: 'time',
  rate: 'bytes',
  size: 'bytes',
  share: 'share',
  count: 'number',
  boolean: '',
  choice: 'word',
  text: 'text',
}

const outputFlag = {
  type: 'text',
  short: 'o',
  value: 'form',
  choices: ['json'],
  help: 'json: the fault as it is recorded',
} as const

/** Every fault verb, for the table of commands. */
export function faultEntries(group: string): Record<string, Entry> {
  return Object.fromEntries(
    Object.values(faultTypes).map((type) => [
      type.kind,
      { group, summary: type.says, load: async () => faultCommand(type) },
    ]),
  )
}

/** The faults of a rig that is there; NotFound with the nearest name. */
export async function openEngine(rig: string): Promise<FaultEngine> {
  const { driver } = await requireRig(rig)
  return new FaultEngine(rigFaultBackend(rig, await openDriver(driver)), faultTypes)
}

export function faultCommand(type: FaultType): Command {
  const operands = operandNames(type.parameters)
  const named = Object.keys(type.parameters).filter((name) => !operands.includes(name))
  const flags: Flags = {
    ...Object.fromEntries(named.map((name) => [dashed(name), flagOf(type.parameters[name]!)])),
    ...(type.momentary === true
      ? {}
      : { for: { type: 'duration', help: 'after which it ends by itself (default: until healed)' } satisfies Flag }),
    rig: rigFlag,
    output: outputFlag,
  }
  return defineCommand({
    usage:
      `${[...operands.map((name) => operandUsage(name, type.parameters[name]!)), ...named.filter((name) => type.parameters[name]!.required === true).map((name) => `--${dashed(name)} <${PLACEHOLDER[type.parameters[name]!.type]}>`)].join(' ')} [flags]`.trimStart(),
    summary: type.says,
    description: describe(type, operands),
    examples: type.examples.map((example) => `gantry rig ${example}`),
    flags,
    completes: operands.length > 0 ? 'machines' : 'none',
    async run({ flags: values, given, args, rest, environment }) {
      const rig = await chooseRig(values.rig as string | undefined, environment.env)
      const engine = await openEngine(rig)
      const lasting = values.for as number | undefined
      try {
        const fault = await engine.begin(
          type.kind,
          {
            ...placeOperands(type, [...args, ...(rest ?? [])]), // behind -- what begins with a dash
            ...Object.fromEntries(
              named.filter((name) => given.has(dashed(name))).map((name) => [name, values[dashed(name)]]),
            ),
          },
          { for: lasting, source: 'text' },
        )
        environment.stdout.write(
          given.has('output')
            ? `${JSON.stringify(fault, undefined, 4)}\n`
            : tell(fault, lasting, given.has('rig') ? ` --rig ${rig}` : ''),
        )
        return EXIT.ok
      } catch (thrown) {
        throw asUsage(thrown, type, operands)
      }
    },
  })
}

/** What was done, how, until when, and how to undo it. */
function tell(
  { id, description, note, until, ended }: FaultRecord,
  lasting: number | undefined,
  rigWords: string,
): string {
  const heal = `\`gantry rig heal${rigWords} ${id}\``
  const end =
    ended !== undefined
      ? undefined
      : until === undefined || lasting === undefined
        ? `${heal} ends it`
        : `ends by itself in ${formatDuration(lasting)}, at ${until.slice(11, 19)} UTC; ${heal} ends it earlier`
  return `${id}: ${[description, note, end].filter((part) => part !== undefined).join('\n    ')}\n`
}

/**
 * A word that the command line lacks or has wrongly is the command line's fault: with the word as it is typed, not as
 * the parameter is called.
 */
function asUsage(thrown: unknown, { kind }: FaultType, operands: readonly string[]): unknown {
  if (!GantryError.is(thrown, 'InvalidArgument') || thrown.details.length === 0) return thrown
  const message = thrown.details
    .map((detail) => {
      const typed = operands.includes(detail.field) ? detail.field.toUpperCase() : `--${dashed(detail.field)}`
      return (detail.message === '' ? thrown.message : detail.message)
        .replace(`${detail.field}:`, `${typed}:`)
        .replace(`"${detail.field}"`, typed)
    })
    .join('; ')
  return new UsageError(
    message,
    thrown.details.find(({ remedy }) => remedy !== '')?.remedy ?? `\`gantry rig ${kind} --help\` tells more`,
  )
}

function describe({ says, parameters }: FaultType, operands: readonly string[]): string {
  const lines = operands.map(
    (name) => `  ${name.toUpperCase().padEnd(10)} ${hanging(operandHelp(parameters[name]!), 13)}`,
  )
  return `${says[0]!.toUpperCase()}${says.slice(1)}.${lines.length === 0 ? '' : `\n\n${lines.join('\n')}`}`
}

function operandHelp({ says, choices }: Parameter): string {
  return choices === undefined ? says : `${says} (choices: ${choices.join(', ')})`
}

/**
 * Text of help, 80 columns wide, of which every line after the first stands `indent` columns in, where the first
 * begins.
 */
function hanging(text: string, indent: number): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1) ?? ''} ${word}`.trimStart()
    if (lines.length > 0 && line.length <= 80 - indent) lines[lines.length - 1] = line
    else lines.push(word)
  }
  return lines.join(`\n${' '.repeat(indent)}`)
}

function operandUsage(name: string, { required }: Parameter): string {
  return required === true ? name.toUpperCase() : `[${name.toUpperCase()}]`
}

/** Values are read by the fault's own reader: the flag hands on the text. */
function flagOf({ type, says, choices, required }: Parameter): Flag {
  if (type === 'boolean') return { type: 'boolean', help: says }
  return {
    type: 'text',
    value: PLACEHOLDER[type],
    help: required === true ? `${says} (needed)` : says,
    ...(choices === undefined ? {} : { choices }),
  }
}

/** "oneWay" as a flag: "one-way". */
function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
