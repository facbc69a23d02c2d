/**
 * Scripts for `nft -f` (nft(8)), each one transaction: the kernel goes from one table to the next at once or not at all. But a packet that is on its way at that
 * moment may begin with what was and go on with what is: its rules stay those of when it entered a base chain, while it finds elements of maps and sets as they
 * are when it looks, and the next base chain as it is then. So nothing that keeps a pod's guard is taken away in the transaction that brings what follows on it.
 */
import { addressType, MAPS, NO_TABLE, REFUSE, type KernelSet, type PolicyTable } from './ruleset.ts'

export const TABLE = 'inet gantry_policy'
/** Guards while the other is replaced; what a run that failed left of it goes with the next replacement. */
const DEPUTY = 'inet gantry_policy_deputy'

/** Elements in one command: the parser's memory grows with its length. */
const ELEMENTS = 500

/**
 * To be run one after another; none if nothing differs. `before`: what is there; undefined if that is not known, then the table is made anew, whatever is there,
 * and a deputy has the same in it meanwhile. Counters begin again then.
 */
export function changeScripts(before: PolicyTable | undefined, after: PolicyTable): string[] {
  if (before === undefined) return after === NO_TABLE ? [lines(...without(TABLE), ...without(DEPUTY))] : [anew(DEPUTY, after), anew(TABLE, after), lines(...without(DEPUTY))]
  if (before === after) return []
  if (before === NO_TABLE) return [anew(TABLE, after)]
  if (after === NO_TABLE) return [lines(...without(TABLE))]
  const commands = difference(TABLE, before, after)
  return commands.length === 0 ? [] : [lines(...commands)]
}

function anew(name: string, table: PolicyTable): string {
  return lines(...without(name), ...frame(name), ...difference(name, NO_TABLE, table))
}

function without(name: string): string[] {
  return [`add table ${name}`, `delete table ${name}`]
}

function frame(name: string): string[] {
  return [
    `table ${name} {`,
    '  counter refused { }',
    ...MAPS.map((map) => `  map ${map} { type ${addressType(map.endsWith('4') ? 4 : 6)} : verdict; }`),
    `  chain ${REFUSE} {`,
    '    meta l4proto tcp ct state established counter name refused reject with tcp reset',
    '    counter name refused reject with icmpx admin-prohibited',
    '  }',
    '  chain forward {',
    '    type filter hook forward priority filter; policy accept;',
    // Answers belong to a connection that was allowed when it began, and is still: its other direction is judged packet by packet.
    '    ct direction reply accept',
    '    ct state related accept',
    '    ip saddr vmap @out4',
    '    ip6 saddr vmap @out6',
    '    ip daddr vmap @in4',
    '    ip6 daddr vmap @in6',
    '  }',
    '}',
  ]
}

/** What is needed is made first, then the pods are moved over, then what nobody needs goes. */
function difference(table: string, before: PolicyTable, after: PolicyTable): string[] {
  const newSets = [...after.sets].filter(([name]) => !before.sets.has(name))
  const newChains = [...after.chains].filter(([name]) => !before.chains.has(name))
  return [
    ...newSets.map(([name, { type }]) => `add set ${table} ${name} { type ${type}; }`),
    ...[...after.sets].flatMap(([name, set]) => elementChanges(table, name, before.sets.get(name), set)),
    ...newChains.flatMap(([name, rules]) => [`add chain ${table} ${name}`, ...rules.map((rule) => `add rule ${table} ${name} ${rule}`)]),
    ...MAPS.flatMap((map) => verdictChanges(table, map, before.verdicts.get(map) ?? new Map(), after.verdicts.get(map) ?? new Map())),
    ...[...before.chains.keys()].filter((name) => !after.chains.has(name)).map((name) => `delete chain ${table} ${name}`),
    ...[...before.sets.keys()].filter((name) => !after.sets.has(name)).map((name) => `delete set ${table} ${name}`),
  ]
}

function elementChanges(table: string, name: string, before: KernelSet | undefined, after: KernelSet): string[] {
  if (before?.elements === after.elements) return []
  const known = before?.elements ?? new Set<string>()
  return [
    ...elementCommands('delete', table, name, [...known].filter((element) => !after.elements.has(element))),
    ...elementCommands('add', table, name, [...after.elements].filter((element) => !known.has(element))),
  ]
}

/** A pod that goes over to another chain keeps its element, and a chain of its own whose one rule names the other: rules are what a packet sees as it entered. */
function verdictChanges(table: string, map: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const gone = [...before.keys()].filter((address) => !after.has(address))
  const come = [...after.keys()].filter((address) => !before.has(address))
  const moved = [...after].filter(([address, chain]) => before.get(address) !== chain)
  return [
    ...moved.flatMap(([address, chain]) => {
      const own = podChain(map, address)
      return [`${before.has(address) ? 'flush' : 'add'} chain ${table} ${own}`, `add rule ${table} ${own} goto ${chain}`]
    }),
    ...elementCommands('delete', table, map, gone),
    ...elementCommands('add', table, map, come.map((address) => `${address} : jump ${podChain(map, address)}`)),
    ...gone.map((address) => `delete chain ${table} ${podChain(map, address)}`),
  ]
}

/** A colon cannot stand in a name. */
function podChain(map: string, address: string): string {
  return `pod_${map}_${address.replaceAll(':', '_')}`
}

function elementCommands(verb: 'add' | 'delete', table: string, name: string, elements: readonly string[]): string[] {
  return Array.from({ length: Math.ceil(elements.length / ELEMENTS) }, (_, index) => `${verb} element ${table} ${name} { ${elements.slice(index * ELEMENTS, (index + 1) * ELEMENTS).join(', ')} }`)
}

function lines(...text: readonly string[]): string {
  return text.map((line) => `${line}\n`).join('')
}
