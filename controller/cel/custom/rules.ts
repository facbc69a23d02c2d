/**
 * The rules of a schema (x-kubernetes-validations): compiled once a definition, evaluated on every write of its
 * objects.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
import { Optional } from '@marcbachmann/cel-js'
import { fieldSchemaOf, itemSchema } from '../../../proto/schema/custom/coerce.ts'
import { versionOfObject, type CustomKind } from '../../../proto/schema/custom/definitions.ts'
import { asWritten } from '../../../proto/validation/custom/object-validation.ts'
import { keyPath, previousItems } from '../../../proto/validation/custom/validation.ts'
import { entryPath, fieldPath } from '../../../proto/base/path.ts'
import { showValue } from '../../../proto/base/problem.ts'
import { isObject, own, sameJson } from '../../../proto/base/json.ts'
import { Report } from '../../../proto/validation/report.ts'
import type {
  AnyResource,
  CustomResourceDefinition,
  ErrorDetail,
  JSONSchemaProps,
  JsonValue,
  ValidationRule,
} from '../../../proto/gen/types.ts'
import { Budget } from '../budget.ts'
import { CelError } from '../error.ts'
import { CelEnvironment, type Program } from '../program.ts'
import { SchemaTypes, type ValueType } from './schema-types.ts'

interface Rule {
  readonly rule: ValidationRule
  readonly program: Program
  readonly message: Program | undefined
  /** Looks at what was before. */
  readonly isTransition: boolean
}

/** What the values of one schema have to keep. */
interface Ruled {
  readonly type: ValueType
  readonly rules: readonly Rule[]
}

const RULES = 'x-kubernetes-validations'

/** Rules of one schema, at the places where they stand. */
class CompiledRules {
  readonly report = new Report()
  readonly #types = new SchemaTypes()
  readonly #ruled = new Map<JSONSchemaProps, Ruled>()
  /** Schemas that have rules, or in which any has. */
  readonly #holders = new Set<JSONSchemaProps>()

  constructor(root: JSONSchemaProps, path: string) {
    this.#types.typeOf(root, true)
    const environment = new CelEnvironment({}, { types: this.#types.declared })
    this.#compile(root, path, environment, true)
  }

  /** True if anything in the schema has rules. */
  #compile(schema: JSONSchemaProps, path: string, environment: CelEnvironment, correlated: boolean): boolean {
    const rules = schema[RULES] ?? []
    if (rules.length > 0) {
      const type = this.#types.typeOf(schema)
      const variables = (old: string): CelEnvironment => environment.extend({ self: type.name, oldSelf: old })
      const compiled = rules.flatMap(
        (rule, index) =>
          this.#rule(
            rule,
            schema,
            variables(rule.optionalOldSelf === true ? `optional<${type.name}>` : type.name),
            entryPath(fieldPath(path, RULES), index),
            correlated,
          ) ?? [],
      )
      this.#ruled.set(schema, { type, rules: compiled })
    }
    const items = itemSchema(schema)
    const below = [
      ...Object.entries(schema.properties ?? {}).map(([name, property]) =>
        this.#compile(property, entryPath(fieldPath(path, 'properties'), name), environment, correlated),
      ),
      items !== undefined &&
        this.#compile(
          items,
          fieldPath(path, 'items'),
          environment,
          correlated && schema['x-kubernetes-list-type'] === 'map',
        ),
      typeof schema.additionalProperties === 'object' &&
        this.#compile(schema.additionalProperties, fieldPath(path, 'additionalProperties'), environment, correlated),
    ]
    const holds = rules.length > 0 || below.some(Boolean)
    if (holds) this.#holders.add(schema)
    return holds
  }

  #rule(
    rule: ValidationRule,
    schema: JSONSchemaProps,
    environment: CelEnvironment,
    path: string,
    correlated: boolean,
  ): Rule | undefined {
    const compile = (field: 'rule' | 'messageExpression', expression: string, returns: string): Program | undefined => {
      try {
        return environment.compile(expression, returns)
      } catch (thrown) {
        if (!(thrown instanceof CelError)) throw thrown
        this.report.wrong(fieldPath(path, field), expression, `compilation failed: ${thrown.message}`)
        return undefined
      }
    }
    const { message, messageExpression, fieldPath: place } = rule
    if (message !== undefined && (message.trim() === '' || /[\r\n]/.test(message)))
      this.report.wrong(fieldPath(path, 'message'), message, 'must not be empty or contain line breaks')
    if (rule.rule.includes('\n') && message === undefined && messageExpression === undefined)
      this.report.missing(fieldPath(path, 'message'), 'must be specified if rule contains line breaks')
    if (place !== undefined && !leadsSomewhere(schema, place))
      this.report.wrong(fieldPath(path, 'fieldPath'), place, 'does not refer to a valid field')
    const program = compile('rule', rule.rule, 'bool')
    const text = messageExpression === undefined ? undefined : compile('messageExpression', messageExpression, 'string')
    if (program === undefined) return undefined
    const isTransition = program.references.has('oldSelf')
    if (isTransition && !correlated)
      this.report.wrong(
        fieldPath(path, 'rule'),
        rule.rule,
        'oldSelf cannot be used in items of a list that is not of type map: it is not known which item an item was',
      )
    if (rule.optionalOldSelf === true && !isTransition)
      this.report.wrong(fieldPath(path, 'optionalOldSelf'), true, 'may not be set if oldSelf is not used in rule')
    return { rule, program, message: text, isTransition }
  }

  check(
    report: Report,
    schema: JSONSchemaProps,
    value: JsonValue | undefined,
    previous: JsonValue | undefined,
    path: string,
    budget: Budget,
  ): void {
    if (!this.#holders.has(schema) || value === undefined || value === null) return
    const ruled = this.#ruled.get(schema)
    if (ruled !== undefined)
      for (const rule of ruled.rules) this.#evaluate(report, ruled.type, rule, value, previous, path, budget)
    if (Array.isArray(value)) {
      const [items, before] = [itemSchema(schema), previousItems(schema, previous)]
      if (items !== undefined)
        value.forEach((item, index) => this.check(report, items, item, before(item), entryPath(path, index), budget))
    } else if (isObject(value)) {
      for (const [name, part] of Object.entries(value)) {
        const child = fieldSchemaOf(schema, name)
        if (child !== undefined && child !== 'anything')
          this.check(
            report,
            child,
            part,
            isObject(previous) ? own(previous, name) : undefined,
            keyPath(path, name),
            budget,
          )
      }
    }
  }

  #evaluate(
    report: Report,
    type: ValueType,
    { rule, program, message, isTransition }: Rule,
    value: JsonValue,
    previous: JsonValue | undefined,
    path: string,
    budget: Budget,
  ): void {
    const optional = rule.optionalOldSelf === true
    const known = previous !== undefined && previous !== null
    if (isTransition && !known && !optional) return
    // What an update leaves as it was is not looked at again.
    if (!isTransition && known && sameJson(value, previous)) return
    const old = known ? type.convert(previous) : undefined
    const values = {
      self: type.convert(value),
      oldSelf: optional ? (old === undefined ? Optional.none() : Optional.of(old)) : old,
    }
    const at = rule.fieldPath === undefined ? path : `${path}${rule.fieldPath}`.replace(/^\./, '')
    try {
      if (program.evaluate(values, budget) === true) return
      const text = messageOf(message, values, budget) ?? rule.message ?? `failed rule: ${rule.rule.trim()}`
      report.details.push({
        field: at,
        value: rule.reason === 'FieldValueRequired' || rule.reason === 'FieldValueForbidden' ? '' : shown(value),
        message: text,
        remedy: '',
        reason: rule.reason ?? 'FieldValueInvalid',
      })
    } catch (thrown) {
      if (!(thrown instanceof CelError)) throw thrown
      report.wrong(at, rule.rule, `rule evaluation error: ${thrown.message}`)
    }
  }
}

/** Undefined where the expression fails, or makes no text of one line: the plain message is said then. */
function messageOf(
  program: Program | undefined,
  values: Readonly<Record<string, unknown>>,
  budget: Budget,
): string | undefined {
  if (program === undefined) return undefined
  try {
    const text = program.evaluate(values, budget) as string
    return text.trim() === '' || /[\r\n]/.test(text) ? undefined : text
  } catch (thrown) {
    if (thrown instanceof CelError) return undefined
    throw thrown
  }
}

/** What is wrong with an object is told of its fields: of an object itself only that it is one. */
function shown(value: JsonValue): string {
  return isObject(value) ? '"object"' : Array.isArray(value) ? '"array"' : showValue(value)
}

/** .a.b['c-d'] */
function leadsSomewhere(schema: JSONSchemaProps, path: string): boolean {
  if (!/^(\.[A-Za-z_][\w-]*|\['[^']+'\])+$/.test(path)) return false
  const steps = [...path.matchAll(/\.([\w-]+)|\['([^']+)'\]/g)].map(([, name, key]) => name ?? key!)
  return (
    steps.reduce<ReturnType<typeof fieldSchemaOf>>(
      (found, name) => (found === undefined || found === 'anything' ? found : fieldSchemaOf(found, name)),
      schema,
    ) !== undefined
  )
}

const compiled = new WeakMap<JSONSchemaProps, CompiledRules>()

function rulesOf(schema: JSONSchemaProps, path: string): CompiledRules {
  let rules = compiled.get(schema)
  if (rules === undefined) compiled.set(schema, (rules = new CompiledRules(schema, path)))
  return rules
}

function hasRules(schema: JSONSchemaProps): boolean {
  if ((schema[RULES] ?? []).length > 0) return true
  return [...Object.values(schema.properties ?? {}), itemSchema(schema), schema.additionalProperties].some(
    (child) => typeof child === 'object' && hasRules(child),
  )
}

const ruledSchemas = new WeakMap<JSONSchemaProps, boolean>()

function isRuled(schema: JSONSchemaProps): boolean {
  let ruled = ruledSchemas.get(schema)
  if (ruled === undefined) ruledSchemas.set(schema, (ruled = hasRules(schema)))
  return ruled
}

/** Which rules of its schema a valid object does not keep. `previous`: as it is stored. */
export function ruleViolations(
  kind: CustomKind,
  object: AnyResource,
  previous: AnyResource | undefined,
): ErrorDetail[] {
  const { schema } = versionOfObject(kind, object.apiVersion)
  if (!isRuled(schema)) return []
  const report = new Report()
  rulesOf(schema, '').check(
    report,
    schema,
    asWritten(kind, object),
    previous === undefined ? undefined : asWritten(kind, { ...previous, apiVersion: object.apiVersion } as AnyResource),
    '',
    new Budget(),
  )
  return report.details
}

/** What is wrong with the rules of a definition that is valid otherwise. */
export function ruleProblems({ spec }: CustomResourceDefinition): ErrorDetail[] {
  return spec.versions.flatMap(({ schema }, index) => {
    const root = schema?.openAPIV3Schema
    return root === undefined || !isRuled(root)
      ? []
      : new CompiledRules(root, `spec.versions[${index}].schema.openAPIV3Schema`).report.details
  })
}
