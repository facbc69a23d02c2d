/**
 * `tsx test/static-exports.ts`: exports that nobody imports. Each is an invitation to use what is no longer used. Reads
 * the tree's own text, file by file, without a type checker: it takes a second. What package.json exports, what is run
 * as a program, and the generated types are entry points. A test counts as somebody.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
/** Whatever stands here is public, generated, or read by a program of its own. */
const ENTRY = /^(deploy\/rig\/(index|testing\/)|deploy\/examples\/|proto\/gen\/|test\/)/
/** What writes code: lines of its texts are exports of that, and names in them are used there. */
const GENERATOR = /^proto\/(generate\.ts|generator\/)/

const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(const enum|const|let|function\*?|class|interface|type|enum) ([\w$]+)/gm
const EXPORT_LIST = /^export (?:type )?\{([^}]*)\}( from '([^']+)')?/gm
const IMPORT = /(?:^|\n)\s*(?:import|export)\s+(?:type\s+)?([^'";]*?)\s*from\s+'(\.[^']+)'/g
const DYNAMIC = /\bimport\(\s*(?:\/\*.*?\*\/\s*)?'(\.[^']+)'(?: as string)?\s*\)/g

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts', '*.mjs'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '')

/** Generated code, which is not committed, uses what is exported for it. */
const generated = readdirSync(join(ROOT, 'proto/gen')).map((file) => `proto/gen/${file}`)
const texts = new Map([...files, ...generated].flatMap((file) => readText(file)))

function readText(file: string): [string, string][] {
  try {
    return [[file, readFileSync(join(ROOT, file), 'utf8')]]
  } catch {
    // Deleted, and not committed yet.
    return []
  }
}

/** Names by file; '*' for a file that is imported as a whole. */
const imported = new Map<string, Set<string>>()

function note(from: string, specifier: string, names: readonly string[]): void {
  const target = normalize(join(dirname(from), specifier))
  let known = imported.get(target)
  if (known === undefined) imported.set(target, (known = new Set()))
  for (const name of names) known.add(name)
}

function namesOf(clause: string): string[] {
  if (clause.includes('*')) return ['*']
  const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? ''
  const named = braces
    .split(',')
    .map((part) =>
      part
        .trim()
        .replace(/^type /, '')
        .split(' as ')[0]!
        .trim(),
    )
    .filter((name) => name !== '')
  return /^\s*\{/.test(clause) ? named : ['default', ...named]
}

for (const [file, text] of texts) {
  for (const [, clause = '', specifier = ''] of text.matchAll(IMPORT)) note(file, specifier, namesOf(clause))
  for (const [, specifier = ''] of text.matchAll(DYNAMIC)) note(file, specifier, ['*'])
}

/** A type that other declarations of its file are made of is exported with them, so that callers can name it. */
function isSignature(text: string, sort: string, name: string): boolean {
  return (sort === 'interface' || sort === 'type') && [...text.matchAll(new RegExp(`\\b${name}\\b`, 'g'))].length > 1
}

const written = new Set(
  [...texts].flatMap(([file, text]) =>
    GENERATOR.test(file) ? [...text.matchAll(/'(\w+)'/g)].map(([, name]) => name!) : [],
  ),
)

const dead: string[] = []
for (const [file, text] of texts) {
  if (ENTRY.test(file)) continue
  const used = imported.get(file)
  if (used?.has('*') === true) continue
  const own = GENERATOR.test(file) ? text.replaceAll(/`[^`]*`/g, '') : text
  const names = [...own.matchAll(EXPORT)].flatMap(([, sort, name]) => (isSignature(text, sort!, name!) ? [] : name!))
  for (const [, list = '', , source] of text.matchAll(EXPORT_LIST))
    if (source === undefined)
      names.push(
        ...list
          .split(',')
          .map((part) => part.trim().split(' as ').at(-1)!.trim())
          .filter((name) => name !== ''),
      )
  for (const name of names)
    if (used?.has(name) !== true && !(file.startsWith('proto/') && written.has(name))) dead.push(`${file}: ${name}`)
}

for (const line of dead) process.stdout.write(`${line} is exported, and nobody imports it\n`)
process.exitCode = dead.length === 0 ? 0 : 1
