/** Registering functions with the CEL library. */
import type { Environment } from '@marcbachmann/cel-js'

/** What stands before the dot of functions that belong together: strings.quote(…). */
export class Namespace {}

/**
 * Functions by their signatures; `namespaces` are types with one value each, which is known by its name; `types` are
 * values'.
 */
export function define(
  environment: Environment,
  functions: Readonly<Record<string, (...args: never[]) => unknown>>,
  namespaces: Readonly<Record<string, typeof Namespace>> = {},
  types: readonly (new (...args: never[]) => object)[] = [],
): void {
  for (const type of types) environment.registerType(type.name, { ctor: type } as never)
  for (const [name, type] of Object.entries(namespaces)) {
    environment.registerType(type.name, { ctor: type } as never)
    environment.registerConstant(name, type.name, new type() as never)
  }
  for (const [signature, call] of Object.entries(functions))
    environment.registerFunction(signature, call as never, { async: false } as never)
}
