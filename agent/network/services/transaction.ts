/** One change of the table, which the kernel makes whole or not at all: elements and the chains that they name. */
import { nft, type NftText } from '../../host/program-text.ts'
import { isPickChain, pickRules, SETS, TABLE_NAME, type ElementMap } from './layout.ts'

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

type Element = string | NftText

/** Elements in one command: nft reads a command whole before it goes on to the next. */
const MAX_ELEMENTS_PER_COMMAND = 2000

/**
 * Commands for `nft -f`. An element whose value changes is deleted and added: nft has no other way, and nobody sees it
 * between.
 */
export function transaction({ elements, made, removed }: TableChange): NftText[] {
  const deleted = new Map<ElementMap, Element[]>()
  const added = new Map<ElementMap, Element[]>()
  for (const { map, key, before, after } of elements) {
    if (before === after) continue
    if (before !== undefined) listOf(deleted, map).push(key)
    if (after !== undefined)
      listOf(added, map).push(
        SETS.has(map) ? key : map === 'picks' ? nft`${key} : ${verdict(after)}` : nft`${key} : ${after}`,
      )
  }
  return [
    ...made.flatMap((name) => [
      nft`add chain inet ${TABLE_NAME} ${name}`,
      nft`flush chain inet ${TABLE_NAME} ${name}`,
      ...pickRules(name).map((rule) => nft`add rule inet ${TABLE_NAME} ${name} ${rule}`),
    ]),
    ...commands('delete', deleted),
    ...commands('add', added),
    ...removed
      .filter(isPickChain)
      .flatMap((name) => [nft`flush chain inet ${TABLE_NAME} ${name}`, nft`delete chain inet ${TABLE_NAME} ${name}`]),
  ]
}

function commands(verb: string, lists: ReadonlyMap<ElementMap, readonly Element[]>): NftText[] {
  return [...lists].flatMap(([map, elements]) =>
    Array.from(
      { length: Math.ceil(elements.length / MAX_ELEMENTS_PER_COMMAND) },
      (_, index) =>
        nft`${verb} element inet ${TABLE_NAME} ${map} { ${nft.list(elements.slice(index * MAX_ELEMENTS_PER_COMMAND, (index + 1) * MAX_ELEMENTS_PER_COMMAND))} }`,
    ),
  )
}

/** "drop", or "goto" and a chain. */
function verdict(value: string): NftText {
  return value.startsWith('goto ') ? nft`goto ${value.slice('goto '.length)}` : nft`${value}`
}

function listOf(lists: Map<ElementMap, Element[]>, map: ElementMap): Element[] {
  let list = lists.get(map)
  if (list === undefined) lists.set(map, (list = []))
  return list
}
