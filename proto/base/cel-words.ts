/**
 * Words of CEL that are no identifiers: a field or a variable cannot be read by such a name.
 * https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
 */
export const CEL_RESERVED_WORDS: ReadonlySet<string> = new Set([
  'true',
  'false',
  'null',
  'in',
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
])
