/** What the table holds in the kernel, read from what nft(8) tells in JSON (libnftables-json(5)). */
import { GantryError } from '../../../proto/base/errors.ts'
import { canonicalAddress } from './endpoints.ts'
import { ELEMENT_MAPS, FAMILIES, hex, LAYOUT_VERSION, TABLE_NAME, type ElementMap } from './layout.ts'

/** Elements by key, in the words of `DesiredTable`; sets' values are ''. */
export type TableElements = ReadonlyMap<ElementMap, ReadonlyMap<string, string>>

/** What a table looks like without its elements. */
export interface TableOutline {
  /** This version's maps are all there. */
  readonly usable: boolean
  readonly chains: readonly string[]
}

const PROTOCOL_NUMBERS: Readonly<Record<string, string>> = { tcp: '6', udp: '17', sctp: '132' }

interface Listed {
  readonly table?: { readonly name: string; readonly comment?: string }
  readonly chain?: { readonly table: string; readonly name: string }
  readonly map?: Container
  readonly set?: Container
}

interface Container {
  readonly table: string
  readonly name: string
  readonly elem?: readonly unknown[]
}

/** From `nft -j -t list table`. */
export function readOutline(json: string): TableOutline {
  const listed = objects(json)
  const names = new Set(listed.flatMap(({ map, set }) => (map ?? set)?.name ?? []))
  return {
    usable:
      listed.some(({ table }) => table?.comment === LAYOUT_VERSION) &&
      [...ELEMENT_MAPS, ...FAMILIES.map((family) => `affinity${family}`)].every((name) => names.has(name)),
    chains: listed.flatMap(({ chain }) => chain?.name ?? []),
  }
}

/** From the answers to `nft -j list map` and `list set` for each of ELEMENT_MAPS. */
export function readElements(answers: readonly string[]): TableElements {
  const elements = new Map<ElementMap, Map<string, string>>(ELEMENT_MAPS.map((map) => [map, new Map()]))
  for (const answer of answers) {
    for (const { map, set } of objects(answer)) {
      if (map?.table === TABLE_NAME)
        for (const entry of map.elem ?? []) {
          const [key, value] = entry as [unknown, unknown]
          elements.get(map.name as ElementMap)?.set(write(map.name, key), writeValue(map.name, value))
        }
      if (set?.table === TABLE_NAME)
        for (const key of set.elem ?? []) elements.get(set.name as ElementMap)?.set(write(set.name, key), '')
    }
  }
  return elements
}

function objects(json: string): Listed[] {
  try {
    return (JSON.parse(json) as { nftables: Listed[] }).nftables
  } catch (cause) {
    throw new GantryError('Internal', `nft answered with something that is no JSON: ${json.slice(0, 200)}`, { cause })
  }
}

const NAME = /^[a-z]+/

/** Which parts of a map's keys are marks: written in hexadecimal. */
const KEY_MARKS: Readonly<Record<string, readonly number[]>> = {
  slots: [0],
  ids: [0],
  sticky: [0, 1],
  picks: [0],
  inside: [0],
}
const MARK_VALUES: ReadonlySet<string> = new Set(['fronts', 'ports', 'ids', 'inside'])

function write(map: string, key: unknown): string {
  const marks = KEY_MARKS[NAME.exec(map)![0]] ?? []
  return parts(key)
    .map((part, index) => (marks.includes(index) ? hex(part as number) : writePart(part)))
    .join(' . ')
}

function writeValue(map: string, value: unknown): string {
  if (MARK_VALUES.has(NAME.exec(map)![0])) return hex(value as number)
  if (map === 'picks') return writeVerdict(value as Record<string, { readonly target: string } | null>)
  return parts(value).map(writePart).join(' . ')
}

function writeVerdict(verdict: Readonly<Record<string, { readonly target: string } | null>>): string {
  const [[name, detail]] = Object.entries(verdict) as [[string, { readonly target: string } | null]]
  return detail === null ? name : `${name} ${detail.target}`
}

function parts(value: unknown): readonly unknown[] {
  return typeof value === 'object' && value !== null && 'concat' in value
    ? (value as { concat: readonly unknown[] }).concat
    : [value]
}

function writePart(part: unknown): string {
  if (typeof part === 'number') return String(part)
  if (typeof part === 'string') return PROTOCOL_NUMBERS[part] ?? canonicalAddress(part)?.text ?? part
  const { prefix } = part as { readonly prefix?: { readonly addr: string; readonly len: number } }
  if (prefix !== undefined) return `${canonicalAddress(prefix.addr)?.text ?? prefix.addr}/${prefix.len}`
  return JSON.stringify(part)
}
