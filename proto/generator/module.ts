/**
 * A module of generated code. All of it is in one function that is called when any of it is used first: a program that
 * does not use it pays for no more than its length. What is looked up by the name of a message is found by a switch: a
 * table of all of them would cost more than what a command does with one.
 */

/** Functions that are looked up by the names of messages. */
export interface Lookup {
  /** The exported function. */
  readonly name: string
  readonly doc: string
  /** The type of what it finds. */
  readonly type: string
  /** The names of messages, and what is found for each. */
  readonly cases: readonly (readonly [string, string])[]
}

export interface GeneratedModule {
  /** Imports and types. */
  readonly head: readonly string[]
  readonly lookups: readonly Lookup[]
  readonly body: readonly string[]
  /** What else is exported, as a function that gives a list of parts of the code. */
  readonly list?: { readonly name: string; readonly doc: string; readonly parts: readonly string[] }
}

export function moduleCode({ head, lookups, body, list }: GeneratedModule): string {
  const members = [
    ...lookups.map(({ name, type }) => `${name}(name: string): ${type} | undefined`),
    ...(list === undefined ? [] : [`${list.name}(): any[]`]),
  ]
  return [
    ...head,
    '',
    `interface Code {\n${indent(members).join('\n')}\n}\n`,
    'let code: Code | undefined\n',
    ...lookups.map(exportCode),
    ...(list === undefined
      ? []
      : [
          `/** ${list.doc} */\nexport function ${list.name}(): any[] {\n  return (code ??= make()).${list.name}()\n}\n`,
        ]),
    'function make(): Code {',
    ...body,
    'return {',
    ...lookups.map(
      ({ name, cases }) =>
        `${name}(name) {\nswitch (name) {\n${cases.map(([message, found]) => `case ${JSON.stringify(message)}: return ${found}\n`).join('')}default: return undefined\n}\n},`,
    ),
    ...(list === undefined ? [] : [`${list.name}: () => [${list.parts.join(', ')}],`]),
    '}',
    '}\n',
  ].join('\n')
}

function exportCode({ name, doc, type }: Lookup): string {
  return `const ${name}s = new Map<string, ${type}>()

/** ${doc} */
export function ${name}(name: string): ${type} | undefined {
  let found = ${name}s.get(name)
  if (found === undefined) {
    found = (code ??= make()).${name}(name)
    if (found !== undefined) ${name}s.set(name, found)
  }
  return found
}
`
}

/** Those of the names that stand in the code. */
export function usedIn(code: string, names: readonly string[]): string[] {
  const words = new Set(code.match(/\b[A-Za-z_$][\w$]*\b/g))
  return names.filter((name) => words.has(name))
}

export function indent(lines: readonly string[], by = 1): string[] {
  return lines.flatMap((line) => line.split('\n')).map((line) => '  '.repeat(by) + line)
}
