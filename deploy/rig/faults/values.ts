/**
 * What people write, as the values of a fault: words of a command line, YAML of a scenario, or an object in TypeScript,
 * checked against the fault's parameters and the machines of the rig. Everything that is wrong is told at once, each
 * with its parameter.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import { quantityValue } from '../../../proto/base/quantity.ts'
import type { ErrorDetail, JsonValue } from '../../../proto/gen/types.ts'
import { parseDuration } from '../../../proto/base/duration.ts'
import type { MachineSpec } from '../contract.ts'
import type { FaultType, Parameter, Parameters } from './contract.ts'
import { programsOf, SHIM } from './target.ts'

/** The host of the rig, where a parameter allows it among machines. */
export const HOST = 'host'

/** What of a machine its name is checked against. */
export type Named = Pick<MachineSpec, 'name' | 'role'>

export type Given = Readonly<Record<string, unknown>>

/**
 * `typed`: TypeScript, where a number is milliseconds or bytes. `text`: a command line or YAML, where a length of time
 * needs its unit.
 */
export type Source = 'typed' | 'text'

/** One that reads wrong: turned into a detail of the error for all. */
class ValueError extends Error {
  readonly remedy: string

  constructor(message: string, remedy = '') {
    super(message)
    this.remedy = remedy
  }
}

/** Names that stand for several machines. */
const GROUPS: Readonly<Record<string, (machine: Named) => boolean>> = {
  nodes: ({ role }) => role === 'node',
  controllers: ({ role }) => role === 'controller',
  all: () => true,
}

/**
 * A fault's values by parameter, those not given left out. InvalidArgument for what is unknown, missing or wrong: one
 * detail each, with the parameter as `field`. What stands in one parameter and does not go with another is begin's to
 * refuse.
 */
export function checkValues(
  type: FaultType,
  given: Given,
  machines: readonly Named[],
  source: Source = 'typed',
): Record<string, JsonValue> {
  const problems: Partial<ErrorDetail>[] = []
  const values: Record<string, JsonValue> = {}
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(type.parameters, name))
      problems.push({ field: name, value: show(given[name]), ...unknownParameter(type, name) })
  }
  for (const [name, parameter] of Object.entries(type.parameters)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined
    if (value === undefined || value === null) {
      if (parameter.required === true)
        problems.push({
          field: name,
          message: `${type.kind} needs "${name}": ${parameter.says}`,
          remedy: possible(parameter, machines),
        })
      continue
    }
    try {
      const checked = checkValue(parameter, value, machines, source)
      values[name] = checked === 0 ? 0 : checked // JSON has no -0
    } catch (thrown) {
      const { message, remedy } =
        thrown instanceof ValueError ? thrown : { message: (thrown as Error).message, remedy: '' }
      problems.push({ field: name, value: show(value), message: `${name}: ${message}`, remedy })
    }
  }
  if (problems.length > 0)
    throw new GantryError('InvalidArgument', problems.map(({ message }) => message).join('; '), { details: problems })
  return values
}

/**
 * Operands of a command line, or what a scenario gives without naming parameters, by parameter; InvalidArgument for
 * more than there are places.
 */
export function placeOperands(type: FaultType, operands: readonly unknown[]): Record<string, unknown> {
  const names = operandNames(type.parameters)
  if (operands.length > names.length) {
    throw new GantryError('InvalidArgument', `${type.kind} does not take ${show(operands[names.length])}`, {
      details: [
        {
          value: show(operands[names.length]),
          remedy:
            names.length === 0
              ? `${type.kind} takes no operands`
              : `it takes ${names.join(', ')}${names.length === 1 ? '' : ' in this order'}`,
        },
      ],
    })
  }
  return Object.fromEntries(operands.map((operand, place) => [names[place]!, operand]))
}

/** Parameters that have a place among the operands, in order. */
export function operandNames(parameters: Parameters): string[] {
  return Object.entries(parameters)
    .filter(([, { operand }]) => operand !== undefined)
    .sort(([, a], [, b]) => a.operand! - b.operand!)
    .map(([name]) => name)
}

function checkValue(parameter: Parameter, value: unknown, machines: readonly Named[], source: Source): JsonValue {
  switch (parameter.type) {
    case 'machine':
      return checkMachine(text(value), machines)
    case 'machines':
      return checkMachines(parameter, value, machines)
    case 'target':
      return checkTarget(text(value), machines)
    case 'duration':
      return checkDuration(parameter, value, source)
    case 'rate':
      return atLeast(1, checkQuantity(value, 'a rate in bytes a second, such as 1Mi or 500k', '/s'), 'a rate')
    case 'size':
      return atLeast(0, checkQuantity(value, 'a size in bytes, such as 64Mi or 1G'), 'a size')
    case 'share':
      return checkShare(value)
    case 'count':
      return checkCount(value)
    case 'boolean':
      return checkBoolean(value)
    case 'choice':
      return checkChoice(parameter.choices ?? [], text(value))
    case 'text':
      return notEmpty(text(value))
  }
}

function text(value: unknown): string {
  if (typeof value === 'string') return value.trim()
  if (typeof value === 'number') return String(value)
  throw new ValueError(`${show(value)} is not a name`)
}

function notEmpty(typed: string): string {
  if (typed === '') throw new ValueError('it is empty')
  return typed
}

function checkMachine(name: string, machines: readonly Named[], also: readonly string[] = []): string {
  const names = [...machines.map((machine) => machine.name), ...also]
  if (names.includes(name)) return name
  throw new ValueError(`the rig has no machine "${name}"${meant(name, names)}`, `it has ${names.join(', ')}`)
}

function checkMachines(parameter: Parameter, value: unknown, machines: readonly Named[]): string[] {
  const words = (Array.isArray(value) ? value.map(text) : [text(value)])
    .flatMap((word) => word.split(','))
    .map((word) => word.trim())
    .filter((word) => word !== '')
  const groups = Object.keys(GROUPS)
  const names = words.flatMap((word) => {
    if (!machines.some(({ name }) => name === word) && Object.hasOwn(GROUPS, word)) {
      const found = machines.filter(GROUPS[word]!)
      if (found.length === 0) throw new ValueError(`the rig has no ${word}`)
      return found.map(({ name }) => name)
    }
    return [checkMachine(word, machines, [...groups, ...(parameter.host === true ? [HOST] : [])])]
  })
  if (names.length === 0) throw new ValueError('no machine is named', possible(parameter, machines))
  return [...new Set(names)]
}

function checkTarget(target: string, machines: readonly Named[]): string {
  const slash = target.indexOf('/')
  const machine = checkMachine(slash < 0 ? target : target.slice(0, slash), machines)
  if (slash < 0) return target
  const program = target.slice(slash + 1)
  if (program.startsWith(SHIM) && program.length > SHIM.length) return target
  const programs = programsOf(machines.find(({ name }) => name === machine)!.role)
  if ((programs as readonly string[]).includes(program)) return target
  throw new ValueError(
    `${machine} has no program "${program}"${meant(program, programs)}`,
    `it has ${[...programs, `${SHIM}POD`].map((known) => `${machine}/${known}`).join(', ')}`,
  )
}

function checkDuration(parameter: Parameter, value: unknown, source: Source): number {
  const shown = show(value)
  const millis = typeof value === 'number' && source === 'typed' ? value : parseDuration(withUnit(text(value), shown))
  if (!Number.isFinite(millis)) throw new ValueError(`${shown} is not a length of time`)
  if (millis < 0 && parameter.signed !== true) throw new ValueError(`${shown} is negative; it must be 0 or more`)
  return millis
}

function withUnit(typed: string, shown: string): string {
  if (/^-?\d+(\.\d+)?$/.test(typed) && Number(typed) !== 0)
    throw new ValueError(`${shown} has no unit`, `write ${typed}ms or ${typed}s`)
  return typed
}

function checkQuantity(value: unknown, what: string, suffix = ''): number {
  if (typeof value === 'number' && Number.isFinite(value)) return Math.ceil(value)
  try {
    const typed = text(value)
    return quantityValue(suffix !== '' && typed.endsWith(suffix) ? typed.slice(0, -suffix.length) : typed)
  } catch (cause) {
    if (GantryError.is(cause, 'InvalidArgument')) throw new ValueError(`${show(value)} is not ${what}`)
    throw cause
  }
}

function atLeast(least: number, value: number, what: string): number {
  if (value < least) throw new ValueError(`${value} is too little for ${what}; at least ${least}`)
  return value
}

function checkShare(value: unknown): number {
  const typed = text(value)
  const [, number, percent] = /^(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)$/.exec(typed) ?? []
  const share = number === undefined ? NaN : Number(number) / (percent === '%' ? 100 : 1)
  if (share >= 0 && share <= 1) return share
  throw new ValueError(
    `${show(value)} is not a share`,
    Number(number) > 1 && percent === ''
      ? `write ${typed}%, or a number from 0 to 1`
      : 'write a number from 0 to 1, or 0% to 100%',
  )
}

function checkCount(value: unknown): number {
  const count = typeof value === 'number' ? value : /^\d+$/.test(text(value)) ? Number(text(value)) : NaN
  if (!Number.isSafeInteger(count) || count < 0) throw new ValueError(`${show(value)} is not a whole number from 0 on`)
  return count
}

function checkBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  if (value === 'true') return true
  if (value === 'false') return false
  throw new ValueError(`${show(value)} is neither true nor false`)
}

function checkChoice(choices: readonly string[], choice: string): string {
  if (choices.includes(choice)) return choice
  throw new ValueError(
    `"${choice}" is not among the choices${meant(choice, choices)}`,
    `it is one of ${choices.join(', ')}`,
  )
}

function unknownParameter(type: FaultType, name: string): { message: string; remedy: string } {
  const names = Object.keys(type.parameters)
  return {
    message: `${type.kind} has no "${name}"${meant(name, names)}`,
    remedy: names.length === 0 ? `${type.kind} takes nothing` : `it has ${names.join(', ')}`,
  }
}

/** What may be written there. */
function possible({ type, choices, host }: Parameter, machines: readonly Named[]): string {
  const names = machines.map(({ name }) => name)
  switch (type) {
    case 'machine':
      return `one of ${names.join(', ')}`
    case 'machines':
      return `one or several of ${[...names, ...Object.keys(GROUPS), ...(host === true ? [HOST] : [])].join(', ')}`
    case 'target':
      return `one of ${names.join(', ')}, or a program on it: ${machines
        .flatMap((machine) => programsOf(machine.role).map((program) => `${machine.name}/${program}`))
        .slice(0, 3)
        .join(', ')}…`
    case 'choice':
      return `one of ${(choices ?? []).join(', ')}`
    case 'duration':
      return 'a length of time, such as 10s or 250ms'
    case 'rate':
      return 'bytes a second, such as 1Mi'
    case 'size':
      return 'bytes, such as 64Mi'
    case 'share':
      return 'a share, such as 5% or 0.05'
    case 'count':
      return 'a whole number'
    case 'boolean':
      return 'true or false'
    case 'text':
      return 'a word'
  }
}

function meant(name: string, known: readonly string[]): string {
  const found = nearest(name, known)
  return found === undefined ? '' : `; did you mean "${found}"?`
}

/** As it was written, for an error. */
function show(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value))
}
