/**
 * Code that makes objects in memory. Each message has one function for all who make its objects (from bytes, from JSON,
 * copies), so that they have the same properties in the same order: V8 gives them one hidden class, with room for all
 * of them in the object itself, as an object literal with fields added later has not.
 */
import type { Schema } from '../schema/model.ts'
import { access, emptyName, Layout, shapeName } from './layout.ts'
import { usedIn } from './module.ts'

/** Makes functions that make plain objects with `new`: their prototype is that of every object. */
export const SHAPE_FUNCTION = `type Shape = new (...values: any[]) => any

function shape(make: (this: any, ...values: any[]) => void): Shape {
  make.prototype = Object.prototype
  return make as unknown as Shape
}`

/** Of each message what makes its objects, and one of which nothing was said. */
export function shapesCode(schema: Schema): string[] {
  const layouts = messageLayouts(schema)
  return [...layouts.map(shapeCode), ...layouts.map(emptyCode)]
}

/** The names of all of that. */
export function shapeNames(schema: Schema): string[] {
  return messageLayouts(schema).flatMap(({ name }) => [shapeName(name), emptyName(name)])
}

function messageLayouts(schema: Schema): Layout[] {
  return Object.values(schema.messages)
    .filter(({ value }) => value === undefined)
    .map(({ name }) => new Layout(schema, name))
}

/** For code of another module than theirs: those of them that it uses, by their places in the list of all. */
export function importedShapes(schema: Schema, code: readonly string[]): string[] {
  const names = shapeNames(schema)
  const used = usedIn(code.join('\n'), names)
  return ['const made = shapes()', ...used.map((name) => `const ${name} = made[${names.indexOf(name)}]`)]
}

function shapeCode(layout: Layout): string {
  const header = layout.header === undefined ? [] : ['apiVersion', 'kind']
  const lines = header.map((name) => `if (${name} !== undefined) this.${name} = ${name}`)
  for (const { name, zero } of layout.ordered) {
    const local = layout.local(name)
    const set = `${access('this', name)} = ${local}`
    lines.push(zero === undefined ? `if (${local} !== undefined) ${set}` : set)
  }
  const parameters = [
    'this: any',
    ...[...header, ...layout.ordered.map(({ name }) => layout.local(name))].map((name) => `${name}: any`),
  ]
  return `const ${shapeName(layout.name)} = shape(function (${parameters.join(', ')}) {\n${lines.map((line) => `  ${line}\n`).join('')}})`
}

/** What an object is of which nothing was said. */
function emptyCode(layout: Layout): string {
  return `function ${emptyName(layout.name)}(): any {\n  return ${makeCode(layout, ({ zero }) => zero)}\n}`
}

/** An expression that makes an object; what is at the end and absent needs no argument. */
export function makeCode(
  layout: Layout,
  value: (property: Layout['properties'][number]) => string | undefined,
  header: readonly [string, string] | undefined = undefined,
): string {
  const values = [
    ...(layout.header === undefined ? [] : (header ?? [undefined, undefined])),
    ...layout.ordered.map(value),
  ]
  while (values.length > 0 && values.at(-1) === undefined) values.pop()
  return `new ${shapeName(layout.name)}(${values.map((item) => item ?? 'undefined').join(', ')})`
}
