/** Defaults, by looking at the schema at every step: what the generated code is compared with. */
import { COMPUTED as COMPUTED_DEFAULTS } from '../../../../proto/codec/computed-defaults.ts'
import { jsonFields } from '../../../../proto/codec/json-fields.ts'
import { schema, SPECIAL_MESSAGES } from '../../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../../proto/schema/model.ts'

type Fields = Record<string, unknown>
type Step = (fields: Fields) => void

const COMPUTED: Readonly<Record<string, (fields: never) => void>> = COMPUTED_DEFAULTS

const plans = new Map<string, readonly Step[]>()

/** As `applyDefaults`, of a message that is no custom kind. */
export function interpretDefaults(message: string, fields: Fields): void {
  for (const step of planOf(message)) step(fields)
}

/** What is to be done to a message; empty for the many in which nothing has a default. */
function planOf(message: string): readonly Step[] {
  const known = plans.get(message)
  if (known !== undefined) return known
  const steps: Step[] = []
  plans.set(message, steps)
  const computed = COMPUTED[message]
  if (computed !== undefined) steps.push(computed as Step)
  for (const field of jsonFields(message).values()) {
    if (field.options.default !== undefined) steps.push(defaultStep(field, field.options.default))
    if (field.kind === 'message' && reaches(field.type, new Set())) steps.push(descend(field))
  }
  return steps
}

/** True if anything in this message or below has a default. */
function reaches(message: string, seen: Set<string>): boolean {
  if (SPECIAL_MESSAGES.has(message) || seen.has(message)) return false
  seen.add(message)
  if (message in COMPUTED) return true
  return [...jsonFields(message).values()].some(
    (field) => field.options.default !== undefined || (field.kind === 'message' && reaches(field.type, seen)),
  )
}

function defaultStep(field: FieldSchema, text: string): Step {
  const { name } = field
  if (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type)) return (fields) => void (fields[name] ??= {})
  const value = defaultValue(field, text)
  return (fields) => void (fields[name] ??= value)
}

/** The value that a default's text stands for, in memory. */
export function defaultValue(field: FieldSchema, text: string): string | number | boolean {
  if (field.type === 'bool') return text === 'true'
  if (field.type === 'string' || field.type in schema.enums) return text
  return /^-?\d+$/.test(text) && field.type !== 'Quantity' ? Number(text) : text
}

function descend({ name, type, label }: FieldSchema): Step {
  switch (label) {
    case 'optional':
      return (fields) => {
        if (fields[name] !== undefined) interpretDefaults(type, fields[name] as Fields)
      }
    case 'repeated':
      return (fields) => {
        for (const item of (fields[name] as Fields[] | undefined) ?? []) interpretDefaults(type, item)
      }
    case 'map':
      return (fields) => {
        for (const item of Object.values((fields[name] as Record<string, Fields> | undefined) ?? {}))
          interpretDefaults(type, item)
      }
  }
}
