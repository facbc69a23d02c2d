/**
 * Code that makes objects in memory. Each message has one function for all who make its objects (from bytes, from JSON,
 * copies), so that they have the same properties in the same order: V8 gives them one hidden class, with room for all
 * of them in the object itself, as an object literal with fields added later has not.
 */
import type { Schema } from '../schema/model.ts'
import { access, emptyName, Layout, shapeName } from './layout.ts'
import { moduleCode, tableCode } from './module.ts'

export function shapesCode(schema: Schema): string {
  const layouts = Object.values(schema.messages)
    .filter(({ value }) => value === undefined)
    .map(({ name }) => new Layout(schema, name))
  const names = layouts.map(({ name }) => name)
  return moduleCode({
    imports: [
      'type Shape = new (...values: any[]) => any\n',
      '/** A function that makes plain objects with `new`: their prototype is that of every object. */',
      'function shape(make: (this: any, ...values: any[]) => void): Shape {\n  make.prototype = Object.prototype\n  return make as unknown as Shape\n}',
    ],
    name: 'shapes',
    doc: 'What makes the objects of each message, and one of which nothing was said.',
    type: 'Record<string, any>',
    body: [...layouts.map(shapeCode), ...layouts.map(emptyCode)],
    result: tableCode(
      names.flatMap((name) => [shapeName(name), emptyName(name)]),
      (name) => name,
    ),
  })
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
