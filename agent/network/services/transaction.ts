/** One change of the table, which the kernel makes whole or not at all: elements and the chains that they name. */
import { isPickChain, pickRules, SETS, TABLE, type ElementMap } from './layout.ts'

export interface ElementChange {
  readonly map: ElementMap
  readonly key: string
  /** undefined: there was none. Sets have the value ''. */
  readonly before: string | undefined
  /** undefined: there is none any more. */
  readonly after: string | undefined
}

export interface TableChange {
  readonly elements: readonly ElementChange[]
  /** Chains to make before, and to remove after. */
  readonly made: readonly string[]
  readonly removed: readonly string[]
}

/** Elements in one command: nft reads a command whole before it goes on to the next. */
const CHUNK = 2000

/** Commands for `nft -f`. An element whose value changes is deleted and added: nft has no other way, and nobody sees it between. */
export function transaction({ elements, made, removed }: TableChange): string[] {
  const deleted = new Map<ElementMap, string[]>()
  const added = new Map<ElementMap, string[]>()
  for (const { map, key, before, after } of elements) {
    if (before === after) continue
    if (before !== undefined) listOf(deleted, map).push(key)
    if (after !== undefined) listOf(added, map).push(SETS.has(map) ? key : `${key} : ${after}`)
  }
  return [
    ...made.flatMap((name) => [`add chain ${TABLE} ${name}`, `flush chain ${TABLE} ${name}`, ...pickRules(name).map((rule) => `add rule ${TABLE} ${name} ${rule}`)]),
    ...commands('delete', deleted),
    ...commands('add', added),
    ...removed.filter(isPickChain).flatMap((name) => [`flush chain ${TABLE} ${name}`, `delete chain ${TABLE} ${name}`]),
  ]
}

function commands(verb: string, lists: ReadonlyMap<ElementMap, readonly string[]>): string[] {
  return [...lists].flatMap(([map, elements]) => Array.from({ length: Math.ceil(elements.length / CHUNK) }, (_, index) => `${verb} element ${TABLE} ${map} { ${elements.slice(index * CHUNK, (index + 1) * CHUNK).join(', ')} }`))
}

function listOf(lists: Map<ElementMap, string[]>, map: ElementMap): string[] {
  let list = lists.get(map)
  if (list === undefined) lists.set(map, (list = []))
  return list
}
