/**
 * The three kinds of patch. Each returns the patched value and leaves its arguments as they were; what it returns may
 * share parts with them.
 */
import { clone } from '../base/clone.ts'
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { GantryError } from '../base/errors.ts'
import { isObject, own, sameJson, setOwn } from '../base/json.ts'

export { applyStrategicPatch } from './strategic-patch.ts'

/** JSON Merge Patch, https://www.rfc-editor.org/rfc/rfc7386: objects merge, null removes, anything else replaces. */
export function applyMergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isObject(patch)) return patch
  const result: JsonObject = isObject(target) ? { ...target } : {}
  for (const name of Object.keys(patch)) {
    const value = patch[name]!
    if (value === null) delete result[name]
    else setOwn(result, name, applyMergePatch(own(result, name), value))
  }
  return result
}

/**
 * Characters that the copies of one JSON patch have in all, as JSON: copying a value into itself again and again
 * doubles it each time. Kubernetes has the same limit.
 */
const COPY_LIMIT = 3 * 1024 * 1024

/**
 * JSON Patch, https://www.rfc-editor.org/rfc/rfc6902: all operations or none. InvalidArgument names the operation by
 * its index, and its path; a `test` that does not hold is FailedPrecondition; ResourceExhausted for one that copies too
 * much.
 */
export function applyJsonPatch(target: JsonValue, patch: JsonValue): JsonValue {
  if (!Array.isArray(patch)) throw new GantryError('InvalidArgument', 'a JSON patch is a list of operations')
  const copies = { size: 0 }
  return patch.reduce(
    (value: JsonValue, operation, index) => new Operation(operation, index, copies).applyTo(value),
    clone(target),
  )
}

class Operation {
  readonly #index: number
  readonly #operation: JsonObject
  readonly #name: string
  /** Of all operations together. */
  readonly #copies: { size: number }
  #path = ''

  constructor(operation: JsonValue, index: number, copies: { size: number }) {
    this.#index = index
    this.#copies = copies
    this.#name = ''
    this.#operation = isObject(operation) ? operation : this.#refuse('is not an object')
    this.#name = this.#text('op')
    this.#path = this.#text('path')
  }

  /** Changes `root` and returns what stands in its place afterwards. */
  applyTo(root: JsonValue): JsonValue {
    const path = this.#pointer(this.#path)
    switch (this.#name) {
      case 'add':
        return this.#add(root, path, this.#value())
      case 'remove':
        return this.#remove(root, path)
      case 'replace': {
        this.#read(root, path)
        return path.length === 0 ? this.#value() : this.#add(this.#remove(root, path), path, this.#value())
      }
      case 'move': {
        const from = this.#pointer(this.#text('from'))
        if (from.length < path.length && from.every((token, index) => token === path[index]))
          this.#refuse('moves a value into itself')
        const value = this.#read(root, from)
        if (sameJson(from, path)) return root
        return path.length === 0 ? value : this.#add(this.#remove(root, from), path, value)
      }
      case 'copy':
        return this.#add(root, path, this.#copy(this.#read(root, this.#pointer(this.#text('from')))))
      case 'test': {
        if (!sameJson(this.#read(root, path), this.#value()))
          this.#refuse(
            `expected ${JSON.stringify(this.#value())}, found ${JSON.stringify(this.#read(root, path))}`,
            'FailedPrecondition',
          )
        return root
      }
      default:
        return this.#refuse('has an unknown op: add, remove, replace, move, copy and test exist')
    }
  }

  #copy(value: JsonValue): JsonValue {
    const text = JSON.stringify(value)
    this.#copies.size += text.length
    if (this.#copies.size > COPY_LIMIT)
      this.#refuse(`the patch copies more than ${COPY_LIMIT} characters`, 'ResourceExhausted')
    return JSON.parse(text) as JsonValue
  }

  #add(root: JsonValue, path: readonly string[], value: JsonValue): JsonValue {
    if (path.length === 0) return value
    const parent = this.#read(root, path.slice(0, -1))
    const token = path.at(-1)!
    if (Array.isArray(parent))
      parent.splice(token === '-' ? parent.length : this.#position(token, parent.length), 0, value)
    else if (isObject(parent)) setOwn(parent, token, value)
    else this.#refuse('leads into a value that is neither an object nor a list')
    return root
  }

  #remove(root: JsonValue, path: readonly string[]): JsonValue {
    this.#read(root, path)
    if (path.length === 0) return null
    const parent = this.#read(root, path.slice(0, -1))
    const token = path.at(-1)!
    if (Array.isArray(parent)) parent.splice(this.#position(token, parent.length - 1), 1)
    else if (isObject(parent)) delete parent[token]
    return root
  }

  #read(root: JsonValue, path: readonly string[]): JsonValue {
    let value: JsonValue = root
    for (const token of path) {
      let next: JsonValue | undefined
      if (Array.isArray(value)) next = value[this.#position(token, value.length - 1)]
      else if (isObject(value)) next = own(value, token)
      if (next === undefined) this.#refuse(`"${token}" does not exist`)
      value = next
    }
    return value
  }

  #position(token: string, last: number): number {
    const position = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : this.#refuse(`"${token}" is not a place in a list`)
    return position <= last ? position : this.#refuse(`place ${token} is beyond the end of the list`)
  }

  /** A JSON Pointer (RFC 6901) as its tokens. */
  #pointer(text: string): string[] {
    if (text === '') return []
    if (!text.startsWith('/') || /~(?![01])/.test(text)) this.#refuse(`"${text}" is not a JSON pointer`)
    return text
      .slice(1)
      .split('/')
      .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  }

  #text(name: string): string {
    const value = own(this.#operation, name)
    return typeof value === 'string' ? value : this.#refuse(`needs the text "${name}"`)
  }

  #value(): JsonValue {
    const value = own(this.#operation, 'value')
    return value === undefined ? this.#refuse('needs a "value"') : clone(value)
  }

  #refuse(
    reason: string,
    code: 'InvalidArgument' | 'FailedPrecondition' | 'ResourceExhausted' = 'InvalidArgument',
  ): never {
    const what = [`patch operation ${this.#index}`, this.#name, this.#path].filter((part) => part !== '').join(' ')
    throw new GantryError(code, `${what}: ${reason}`, {
      details: [{ field: this.#path, value: this.#name, message: reason }],
    })
  }
}
