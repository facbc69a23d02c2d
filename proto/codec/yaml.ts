/**
 * YAML text (JSON is YAML too) to JSON values, with the place of each. YAML 1.2, and of YAML 1.1 what manifests rely on
 * and Kubernetes honours: 0644 is octal and `<<` merges. Words such as `yes` and `on` stay strings.
 */
import {
  Composer,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Parser,
  visit,
  type Alias,
  type CST,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml'
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { entryPath, pathSteps } from '../base/path.ts'

/** Both from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** A syntax error, a duplicate key or a value that is not JSON. */
export interface YamlFault {
  readonly position: Position
  /** Where in the document, '' if that is not known. */
  readonly path: string
  readonly message: string
  readonly remedy: string
  /** A key that its map has already: the first one holds. */
  readonly duplicate: boolean
}

/**
 * Values that one document may have once its aliases are written out: a few hundred bytes of aliases can mean billions.
 */
const VALUE_LIMIT = 200_000

/** Levels of lists and maps in each other: the parser's own recursion must not be driven to the end of the stack. */
const DEPTH_LIMIT = 100

/** Errors of one document that are told. */
const ERROR_LIMIT = 1_000

/** The documents of a text that are not empty. */
export function readYaml(text: string): YamlDocument[] {
  const lines = new LineCounter()
  const tokens = [...new Parser(lines.addNewLine).parse(text)]
  for (const token of tokens) {
    const deep = token.type === 'document' ? tooDeep(token.value) : undefined
    if (deep !== undefined)
      return [
        new YamlDocument(parseDocument(''), lines, [
          { offset: deep, message: `nested more than ${DEPTH_LIMIT} levels deep`, remedy: '' },
        ]),
      ]
  }
  const composer = new Composer({ uniqueKeys: false, logLevel: 'silent', merge: true })
  return [...composer.compose(tokens, false, text.length)]
    .filter((document) => document.errors.length > 0 || !isEmpty(document.contents))
    .map(
      (document) =>
        new YamlDocument(
          document,
          lines,
          document.errors.map(({ code, pos, message }) => ({
            offset: pos[0],
            message: sentence(message),
            remedy: code === 'TAB_AS_INDENT' ? 'indent with spaces' : '',
          })),
        ),
    )
}

/** Where a value goes deeper than the limit, undefined if it does not. */
function tooDeep(root: CST.Token | undefined): number | undefined {
  const open = [{ token: root, depth: 1 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next
    if (token === undefined || token === null || !('items' in token)) continue
    if (depth > DEPTH_LIMIT) return token.offset
    for (const { key, value } of token.items)
      open.push({ token: key ?? undefined, depth: depth + 1 }, { token: value, depth: depth + 1 })
  }
  return undefined
}

function isEmpty(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null)
}

/** One document of a text. */
export class YamlDocument {
  readonly value: JsonValue
  readonly faults: readonly YamlFault[]
  readonly #document: Document.Parsed
  readonly #targets: ReadonlyMap<Alias, Node>
  readonly #lines: LineCounter

  constructor(
    document: Document.Parsed,
    lines: LineCounter,
    errors: readonly { readonly offset: number; readonly message: string; readonly remedy: string }[],
  ) {
    this.#document = document
    this.#targets = aliasTargets(document)
    this.#lines = lines
    const distinct = new Map(
      errors
        .slice(0, ERROR_LIMIT)
        .toReversed()
        .map((error) => [error.offset, error]),
    ) // what follows from the first is no news
    const syntax = [...distinct.values()]
      .reverse()
      .map(({ offset, message, remedy }): YamlFault => ({
        position: this.#position(offset),
        path: '',
        message,
        remedy,
        duplicate: false,
      }))
    const reader = new ValueReader(this.#targets, (offset) => this.#position(offset))
    this.value = syntax.length > 0 ? null : reader.value(document.contents as Node | null, '')
    this.faults = [...syntax, ...reader.faults]
  }

  /**
   * Where the value at a path stands (`key`: its key); if the path leads nowhere, where the deepest part of it that
   * exists does.
   */
  at(path: string, key = false): Position {
    return this.#position(this.#find(path, key).offset)
  }

  /** The text of the scalar at a path as it was written, undefined if there is none. */
  written(path: string): string | undefined {
    const { node, whole } = this.#find(path, false)
    return whole && isScalar(node) ? node.source : undefined
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

  #find(path: string, wantKey: boolean): { node: Node | null; offset: number; whole: boolean } {
    let node = this.#document.contents as Node | null
    let offset = startOf(node) ?? 0
    const steps = pathSteps(path)
    for (const [index, step] of steps.entries()) {
      const target = this.#resolve(node)
      if (isSeq(target)) {
        const item = target.items[Number(step)]
        if (!isNode(item)) return { node: null, offset, whole: false }
        node = item
        offset = startOf(node) ?? offset
        continue
      }
      const pair = isMap(target) ? findPair(target, step) : undefined
      if (pair === undefined) return { node: null, offset, whole: false }
      const keyOffset = startOf(pair.key as Node | null) ?? offset
      node = pair.value as Node | null
      const last = index === steps.length - 1
      const showKey = (last && wantKey) || !isScalar(node) || isEmpty(node)
      offset = showKey ? keyOffset : (startOf(node) ?? keyOffset)
    }
    return { node: this.#resolve(node), offset, whole: true }
  }

  #resolve(node: Node | null): Node | null {
    return isAlias(node) ? (this.#targets.get(node) ?? null) : node
  }
}

/**
 * What each alias refers to: the last node before it with its anchor. All in one walk: the library walks the document
 * again for each of them.
 */
function aliasTargets(document: Document.Parsed): Map<Alias, Node> {
  const anchors = new Map<string, Node>()
  const targets = new Map<Alias, Node>()
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source)
        if (target !== undefined) targets.set(node, target)
      } else if (node.anchor !== undefined) anchors.set(node.anchor, node)
    },
  })
  return targets
}

function startOf(node: Node | null | undefined): number | undefined {
  return node?.range?.[0]
}

function findPair(map: YAMLMap, key: string): Pair | undefined {
  return map.items.findLast((pair) => isScalar(pair.key) && keyText(pair.key.value, pair.key.source) === key)
}

/** Kubernetes turns keys into JSON's strings: `1: x` has the key "1". */
function keyText(value: unknown, source: string | undefined): string {
  return typeof value === 'string' ? value : (source ?? String(value))
}

/** A parser's message without the capital letter and the full stop of a sentence. */
function sentence(message: string): string {
  return `${message[0]?.toLowerCase() ?? ''}${message.slice(1)}`.replace(/\.$/, '')
}

class ValueReader {
  readonly faults: YamlFault[] = []
  readonly #targets: ReadonlyMap<Alias, Node>
  readonly #position: (offset: number) => Position
  #count = 0

  constructor(targets: ReadonlyMap<Alias, Node>, position: (offset: number) => Position) {
    this.#targets = targets
    this.#position = position
  }

  #fault(node: Node | null | undefined, path: string, message: string, remedy = '', duplicate = false): null {
    this.faults.push({ position: this.#position(startOf(node) ?? 0), path, message, remedy, duplicate })
    return null
  }

  value(node: Node | null, path: string): JsonValue {
    this.#count++
    if (this.#count === VALUE_LIMIT)
      return this.#fault(node, path, `the document has more than ${VALUE_LIMIT} values`, 'split it')
    if (this.#count > VALUE_LIMIT || node === null) return null
    if (isAlias(node)) return this.#alias(node, path)
    if (isMap(node)) return this.#map(node, path)
    if (isSeq(node)) return node.items.map((item, index) => this.value(item as Node | null, entryPath(path, index)))
    return isScalar(node) ? this.#scalar(node.value, node, path) : null
  }

  #alias(node: Alias, path: string): JsonValue {
    const target = this.#targets.get(node)
    if (target === undefined)
      return this.#fault(node, path, `*${node.source} refers to nothing`, `mark what it refers to with &${node.source}`)
    const [start = 0, , end = 0] = target.range ?? []
    const own = startOf(node) ?? 0
    if (own >= start && own < end) return this.#fault(node, path, `*${node.source} contains itself`)
    return this.value(target, path)
  }

  #scalar(value: unknown, node: Node & { source?: string; type?: string }, path: string): JsonValue {
    const source = node.source ?? ''
    if (typeof value === 'number' || typeof value === 'bigint') {
      const number = node.type === 'PLAIN' && /^[-+]?0[0-7]+$/.test(source) ? parseInt(source, 8) : Number(value)
      if (!Number.isFinite(number)) return this.#fault(node, path, `${source} is not a number that JSON has`)
      if (Number.isInteger(number) && !Number.isSafeInteger(number))
        return this.#fault(
          node,
          path,
          `${source} is a number too large to be exact`,
          'write it in quotes if it is a string or a quantity',
        )
      return number
    }
    if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value
    return this.#fault(node, path, 'is a value that JSON does not have', 'write it in quotes')
  }

  #map(node: YAMLMap, path: string): JsonObject {
    const object = new Map<string, JsonValue>()
    const merged = new Map<string, JsonValue>()
    const places = new Map<string, Node>()
    for (const pair of node.items) {
      const key = pair.key as Node | null
      if (!isScalar(key)) {
        this.#fault(key, path, 'a key that is not a plain value', 'write a name before the colon')
        continue
      }
      if (isMerge(key)) {
        this.#merge(pair.value as Node | null, path, merged)
        continue
      }
      const name = keyText(key.value, key.source)
      const at = path === '' ? name : /^[A-Za-z_][\w-]*$/.test(name) ? `${path}.${name}` : entryPath(path, name)
      const first = places.get(name)
      if (first !== undefined) {
        const { line, column } = this.#position(startOf(first) ?? 0)
        this.#fault(
          key,
          at,
          `the key ${name} stands here a second time`,
          `the first is at ${line}:${column}; keep one`,
          true,
        )
        continue
      }
      places.set(name, key)
      object.set(name, this.value(pair.value as Node | null, at))
    }
    return Object.fromEntries([...merged, ...object])
  }

  /**
   * `<<: *base` or `<<: [*a, *b]`: keys that the map itself does not have; earlier ones win.
   * https://yaml.org/type/merge.html
   */
  #merge(node: Node | null, path: string, merged: Map<string, JsonValue>): void {
    const value = this.value(node, path)
    for (const part of Array.isArray(value) ? value : [value]) {
      if (typeof part !== 'object' || part === null || Array.isArray(part)) {
        this.#fault(node, path, '<< merges maps only')
        return
      }
      for (const [key, item] of Object.entries(part)) if (!merged.has(key)) merged.set(key, item)
    }
  }
}

/** The parser gives the key of a merge as the text `<<` or a symbol of that name. */
function isMerge(key: { value: unknown; type?: string | undefined }): boolean {
  return (
    key.type === 'PLAIN' && (key.value === '<<' || (typeof key.value === 'symbol' && key.value.description === '<<'))
  )
}
