/**
 * Steps out of the faults themselves: a fault's kind is a step's word, its parameters are the step's, nothing of it is
 * written a second time here.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { FaultType, ParameterType } from '../faults/contract.ts'
import { checkValues, operandNames, placeOperands } from '../faults/values.ts'
import { formatDuration } from '../../../proto/base/duration.ts'
import { readWord, type Scope } from './parse-probe.ts'
import type { FaultAction } from './scenario.ts'
import type { YamlNode } from './yaml-node.ts'
import { references, replaceReferences } from './variables.ts'

/** Parameters that may refer to what was remembered: they are known only when the step runs. */
const NAMES: ReadonlySet<ParameterType> = new Set(['machine', 'machines', 'target'])

/**
 * `kill: n2`, `partition: { from: [n1], to: nodes, for: 10s }`: what stands alone is the first operand of the command
 * of the same name. `lasts` stands beside the word (`for`), and counts as one of the parameters.
 */
export function readFault(
  type: FaultType,
  slot: YamlNode,
  lasts: YamlNode | undefined,
  scope: Scope,
): Omit<FaultAction, 'name' | 'during'> | undefined {
  const alone = !slot.isMap
  const slots = alone ? new Map<string, YamlNode>() : new Map(slot.entries())
  const inner = slots.get('for')
  slots.delete('for')
  if (inner !== undefined && lasts !== undefined)
    return lasts.refuse('stands here and in the fault itself; keep one', { key: true })
  const lasting = inner ?? lasts
  if (lasting !== undefined && type.momentary === true)
    return lasting.refuse(`${type.kind} is over as soon as it is done`, { key: true, remedy: 'leave "for" out' })
  const forMillis = lasting?.duration()
  const given = alone ? placed(type, slot) : Object.fromEntries([...slots].map(([name, one]) => [name, one.value]))
  if (given === undefined) return undefined
  for (const [name, value] of Object.entries(given)) readReferences(type, name, value, slots.get(name) ?? slot, scope)
  const error = checkStandIns(type, given, scope)
  if (error === undefined) return { is: 'fault', type, given, forMillis }
  for (const { field, message, remedy } of error.details) {
    const at = slots.get(field)
    const unknown = at !== undefined && !Object.hasOwn(type.parameters, field)
    ;(at ?? slot).refuse(message, { remedy, key: at === undefined ? !alone || slot.value === null : unknown })
  }
  return undefined
}

/** What is wrong with the values whatever machine a reference stands for: one of each role is tried. */
function checkStandIns(
  type: FaultType,
  given: Readonly<Record<string, unknown>>,
  { machines }: Scope,
): GantryError | undefined {
  const candidates = machines.filter(
    ({ role }, index) => machines.findIndex((machine) => machine.role === role) === index,
  )
  let first: GantryError | undefined
  for (const { name } of candidates) {
    try {
      checkValues(
        type,
        Object.fromEntries(Object.entries(given).map(([key, value]) => [key, standIn(value, name)])),
        machines,
        'text',
      )
      return undefined
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (error.code === 'Internal') throw thrown
      first ??= error
    }
  }
  return first
}

function standIn(value: unknown, machine: string): unknown {
  if (Array.isArray(value)) return value.map((item) => standIn(item, machine))
  return typeof value === 'string' ? replaceReferences(value, () => machine) : value
}

/** The operand that stands alone, by its parameter. */
function placed(type: FaultType, slot: YamlNode): Record<string, unknown> | undefined {
  if (slot.value === null) return {}
  try {
    return placeOperands(type, [slot.value])
  } catch (thrown) {
    const { message, details } = GantryError.from(thrown)
    return slot.refuse(message, { remedy: details[0]?.remedy ?? '' })
  }
}

/** Problems of references: to what is not remembered, and where none may stand. */
function readReferences(type: FaultType, name: string, value: unknown, slot: YamlNode, scope: Scope): void {
  const parameter = type.parameters[name]
  if (parameter !== undefined && NAMES.has(parameter.type)) {
    for (const one of slot.itemsOrSelf()) if (typeof one.value === 'string') readWord(one, scope)
  } else if (typeof value === 'string' && references(value).length > 0)
    slot.refuse('refers to what is known only later; only machines may')
}

/** "kill n2", "partition n1 to n2,n3 for 10s" */
export function describeFault({ type, given, forMillis }: Pick<FaultAction, 'type' | 'given' | 'forMillis'>): string {
  const operands = operandNames(type.parameters)
  const words = Object.entries(given).map(([name, value]) => {
    const text = Array.isArray(value) ? value.join(',') : String(value)
    return operands[0] === name ? text : `${name} ${text}`
  })
  return [type.kind, ...words, ...(forMillis === undefined ? [] : [`for ${formatDuration(forMillis)}`])].join(' ')
}
