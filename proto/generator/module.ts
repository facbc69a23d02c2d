/**
 * A module of generated code. All of it is in one function that is called when it is used first: a program that starts
 * and does not use it pays for no more than its length.
 */

export interface GeneratedModule {
  readonly imports: readonly string[]
  /** The exported function, of which what it returns is made once. */
  readonly name: string
  readonly doc: string
  /** The type of what it returns. */
  readonly type: string
  readonly body: readonly string[]
  /** The expression for what it returns. */
  readonly result: string
}

export function moduleCode({ imports, name, doc, type, body, result }: GeneratedModule): string {
  return [
    ...imports,
    '',
    `let made: ${type} | undefined\n`,
    `/** ${doc} */`,
    `export function ${name}(): ${type} {\n  return (made ??= make())\n}\n`,
    `function make(): ${type} {`,
    ...body,
    `return ${result}`,
    '}\n',
  ].join('\n')
}

/** An object in which each name has the value of a name that is made of it. */
export function tableCode(names: readonly string[], valueOf: (name: string) => string): string {
  return `{\n${names.map((name) => `${name}: ${valueOf(name)},\n`).join('')}}`
}

/** Those of the names that stand in the code. */
export function usedIn(code: string, names: readonly string[]): string[] {
  const words = new Set(code.match(/\b[A-Za-z_$][\w$]*\b/g))
  return names.filter((name) => words.has(name))
}

export function indent(lines: readonly string[], by = 1): string[] {
  return lines.flatMap((line) => line.split('\n')).map((line) => '  '.repeat(by) + line)
}
