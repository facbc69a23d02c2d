/** Expressions in CEL, compiled: every function and variable is known, types fit, and what they cost is counted. */
import { Environment } from '@marcbachmann/cel-js'
import { GantryError } from '../../proto/base/errors.ts'
import { pattern, patternFlaw } from '../../proto/validation/custom/pattern.ts'
import { Budget, Meter } from './budget.ts'
import { CelError, celError } from './error.ts'
import { innerCost } from './inner-cost.ts'
import { registerFormats } from './library/formats.ts'
import { registerAddresses } from './library/addresses.ts'
import { registerLists } from './library/lists.ts'
import { registerQuantities } from './library/quantities.ts'
import { registerStrings } from './library/strings.ts'
import { registerUrls } from './library/urls.ts'

/** Characters of an expression, and how deep it may go. */
const EXPRESSION_LENGTH = 50_000
const LIMITS = { maxAstNodes: 20_000, maxDepth: 200, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 32 }

/** A function beside those of the library, such as `Authorizer.path(string): PathCheck`. */
export interface CelFunction {
  readonly signature: string
  readonly call: (...args: never[]) => unknown
}

/** A type of objects: JavaScript objects of `constructor` are of it. Without `fields` any property can be read. */
export interface CelType {
  readonly name: string
  readonly constructor: new (...args: never[]) => object
  readonly fields?: Readonly<Record<string, string>>
  readonly equal?: (a: never, b: never) => boolean
}

export interface Declarations {
  readonly types?: readonly CelType[]
  readonly functions?: readonly CelFunction[]
}

/**
 * By name, the type of a variable: dyn, string, int, double, bool, list<string>, map<string, dyn>, optional<dyn>, or
 * the name of a declared type.
 */
export type Variables = Readonly<Record<string, string>>

const standard: Environment = (() => {
  const environment = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    unlistedVariablesAreDyn: false,
    limits: LIMITS,
  })
  for (const register of [
    registerStrings,
    registerLists,
    registerUrls,
    registerAddresses,
    registerQuantities,
    registerFormats,
  ])
    register(environment)
  return environment
})()

/** What expressions are compiled in: variables, types and functions beside those of the library. */
export class CelEnvironment {
  readonly #environment: Environment

  /** `above`: what it knows, this knows too. */
  constructor(variables: Variables, { types = [], functions = [] }: Declarations = {}, above?: CelEnvironment) {
    const environment = (above === undefined ? standard : above.#environment).clone()
    for (const { name, constructor: ctor, fields } of types)
      environment.registerType(name, { ctor, ...(fields !== undefined && { fields }) } as never)
    for (const { name, equal } of types)
      environment.registerOperator(`${name} == ${name}`, (equal ?? ((a: unknown, b: unknown) => a === b)) as never)
    for (const { signature, call } of functions)
      environment.registerFunction(signature, call as never, { async: false } as never)
    for (const [name, type] of Object.entries(variables)) environment.registerVariable(name, type)
    this.#environment = environment
  }

  /** With more variables. */
  extend(variables: Variables): CelEnvironment {
    return new CelEnvironment(variables, {}, this)
  }

  /**
   * CelError with the place for what is no expression, names what there is not, or does not result in `returns`
   * (default: anything).
   */
  compile(expression: string, returns?: string): Program {
    if (expression.trim() === '') throw new CelError('is empty', 'compilation')
    if (expression.length > EXPRESSION_LENGTH)
      throw new CelError(`has ${expression.length} characters, at most ${EXPRESSION_LENGTH} are allowed`, 'compilation')
    let parsed: Parsed
    try {
      parsed = this.#environment.parse(expression) as unknown as Parsed
    } catch (thrown) {
      throw celError(thrown, 'compilation', expression)
    }
    visit(parsed.ast, widenHas)
    const { valid, error, type } = parsed.check()
    if (!valid) throw celError(error, 'compilation', expression)
    if (returns !== undefined && type !== returns && type !== 'dyn')
      throw new CelError(`must result in ${returns}, and results in ${type}`, 'compilation')
    return new Program(expression, parsed, returns)
  }
}

/** With the functions of the library and these variables alone. */
export function compile(expression: string, variables: Variables, returns?: string): Program {
  return new CelEnvironment(variables).compile(expression, returns)
}

interface Parsed {
  (values: Readonly<Record<string, unknown>>): unknown
  readonly ast: Node
  check(): { valid: boolean; error?: unknown; type?: string }
}

interface Node {
  readonly op: string
  readonly args: unknown
  readonly meta: { readonly evaluate?: Step; readonly macro?: Macro; readonly alternate?: Node }
  /** Of operators and functions, once types are checked: does with the operands' values what is to be done. */
  handle?: (...args: unknown[]) => unknown
  setMeta(key: string, value: unknown): void
}

interface Macro {
  readonly args?: readonly Evaluated[]
  evaluate?: Step
  typeCheck?: (
    checker: {
      check(node: Node, context: unknown): unknown
      getType(name: string): unknown
      createError(code: string, message: string, node: Node): Error
    },
    macro: Macro,
    context: unknown,
  ) => unknown
}

type Step = (evaluator: unknown, node: Node, context: unknown) => unknown

const TYPES: Readonly<Record<string, string>> = { bool: 'boolean', string: 'string' }

export class Program {
  readonly expression: string
  /** Variables that it names. */
  readonly references: ReadonlySet<string>
  readonly #parsed: Parsed
  readonly #returns: string | undefined
  /** Of the evaluation under way: they do not wait, so there is one at a time. */
  #meter = new Meter(0)

  constructor(expression: string, parsed: Parsed, returns: string | undefined) {
    this.expression = expression
    this.#parsed = parsed
    this.#returns = returns
    const references = new Set<string>()
    visit(parsed.ast, (node) => {
      if (node.op === 'id') references.add(node.args as string)
      this.#meterStep(node)
      this.#meterInside(node)
    })
    this.references = references
  }

  /** CelError when it cannot be evaluated, or has used up its share of the budget. */
  evaluate(values: Readonly<Record<string, unknown>>, budget = new Budget()): unknown {
    const meter = new Meter(budget.share)
    this.#meter = meter
    try {
      const result = this.#parsed(values)
      const wanted = TYPES[this.#returns ?? '']
      if (wanted !== undefined && typeof result !== wanted)
        throw new CelError(
          `results in ${result === null ? 'null' : typeof result}, not in ${this.#returns}`,
          'evaluation',
        )
      return result
    } catch (thrown) {
      throw celError(thrown, 'evaluation', this.expression)
    } finally {
      budget.take(meter.spent)
    }
  }

  /** Each step costs one, and what makes or goes through a long value its share of that. */
  #meterStep(node: Node): void {
    const matching = node.op === 'rcall' && (node.args as [string])[0] === 'matches' ? this.#matching(node) : undefined
    const { macro, evaluate } = node.meta
    const metered =
      (step: Step): Step =>
      (evaluator, ast, context) => {
        this.#meter.spend(1)
        const result = step(evaluator, ast, context)
        if (typeof result === 'string') this.#meter.spend(Math.ceil(result.length / 10))
        else if (Array.isArray(result)) this.#meter.spend(result.length)
        return result
      }
    if (macro?.evaluate !== undefined) macro.evaluate = metered(macro.evaluate)
    else if (evaluate !== undefined) node.setMeta('evaluate', metered(matching ?? evaluate))
  }

  /** What goes through its operands by itself pays for that first. */
  #meterInside(node: Node): void {
    const { op, args, handle } = node
    const isCall = op === 'call' || op === 'rcall'
    const cost = innerCost(isCall ? (args as [string])[0] : op)
    if (handle === undefined || cost === undefined) return
    node.handle = (...given) => {
      this.#meter.spend(cost(isCall ? (given[0] as unknown[]) : given.slice(0, 2)))
      return handle(...given)
    }
  }

  /** Patterns are RE2's, which take no longer than the text is long; a constant one is looked at now. */
  #matching({ args }: Node): Step {
    const [, receiver, [argument]] = args as [string, Evaluated, [Evaluated]]
    const constant = argument.op === 'value' ? (argument.args as string) : undefined
    const flaw = constant === undefined ? undefined : patternFlaw(constant)
    if (flaw !== undefined) throw new CelError(`"${constant}" ${flaw}`, 'compilation')
    return (evaluator, _node, context) => {
      const text = receiver.evaluate(evaluator, receiver, context)
      const regexp = argument.evaluate(evaluator, argument, context)
      if (typeof text !== 'string' || typeof regexp !== 'string')
        throw new CelError('matches is for strings', 'evaluation')
      // Every place of the pattern may be looked at for every character of the text; as Kubernetes counts it.
      this.#meter.spend(Math.ceil((text.length + 1) / 10) * Math.ceil(regexp.length / 4))
      return matches(regexp, text)
    }
  }
}

interface FieldReader {
  run(node: Node, context: unknown): unknown
  debugType(value: unknown): { fieldLazy(value: unknown, name: string, node: Node, evaluator: FieldReader): unknown }
}

/**
 * `has(E.name)` for any expression E (the library has it for names joined by dots only), of a field that E's type has.
 */
function widenHas({ op, args, meta: { macro } }: Node): void {
  if (op !== 'call' || (args as [string])[0] !== 'has' || macro?.args?.length !== 1) return
  const [field] = macro.args as [Evaluated]
  macro.typeCheck = (checker, _macro, context) => {
    if (field.op !== '.')
      throw checker.createError('invalid_macro_argument', 'has() needs a field, such as has(self.name)', field)
    checker.check(field, context)
    return checker.getType('bool')
  }
  macro.evaluate = (evaluator, _macro, context) => {
    const [owner, name] = field.args as [Node, string]
    const reader = evaluator as FieldReader
    const value = reader.run(owner, context)
    return (
      value !== null &&
      value !== undefined &&
      reader.debugType(value).fieldLazy(value, name, field, reader) !== undefined
    )
  }
}

interface Evaluated extends Node {
  readonly evaluate: Step
}

function matches(regexp: string, text: string): boolean {
  try {
    return pattern(regexp).test(text)
  } catch (thrown) {
    throw new CelError(`"${regexp}" is no pattern: ${GantryError.from(thrown).message}`, 'evaluation')
  }
}

/** Every node of an expression once, those that macros made among them. */
function visit(root: unknown, call: (node: Node) => void): void {
  const seen = new Set<object>()
  const waiting: unknown[] = [root]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value !== 'object' || value === null || seen.has(value) || value instanceof Uint8Array) continue
    seen.add(value)
    if (isNode(value)) {
      call(value)
      waiting.push(value.args, value.meta.macro, value.meta.alternate)
    } else if (Array.isArray(value)) waiting.push(...(value as unknown[]))
    else if (Object.getPrototypeOf(value) === Object.prototype) waiting.push(...Object.values(value))
  }
}

function isNode(value: object): value is Node {
  return 'op' in value && 'setMeta' in value
}
