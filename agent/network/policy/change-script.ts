/**
 * Scripts for `nft -f` (nft(8)), each one transaction: the kernel goes from one table to the next at once or not at
 * all. But a packet that is on its way at that moment may begin with what was and go on with what is: its rules stay
 * those of when it entered a base chain, while it finds elements of maps and sets as they are when it looks, and the
 * next base chain as it is then. So nothing that keeps a pod's guard is taken away in the transaction that brings what
 * follows on it.
 */
import { nft, type NftText } from '../../host/program-text.ts'
import {
  addressType,
  VERDICT_MAPS,
  EMPTY_POLICY_TABLE,
  REJECT_CHAIN,
  type KernelSet,
  type PolicyTable,
} from './ruleset.ts'

const NAME = 'gantry_policy'
/** As nft(8) lists it. */
export const TABLE = `inet ${NAME}`
/** Guards while the other is replaced; what a run that failed left of it goes with the next replacement. */
const STANDBY_TABLE = 'gantry_policy_deputy'

/** Elements in one command: the parser's memory grows with its length. */
const MAX_ELEMENTS_PER_COMMAND = 500

/**
 * To be run one after another; none if nothing differs. `before`: what is there; undefined if that is not known, then
 * the table is made anew, whatever is there, and a deputy has the same in it meanwhile. Counters begin again then.
 */
export function changeScripts(before: PolicyTable | undefined, after: PolicyTable): NftText[] {
  if (before === undefined)
    return after === EMPTY_POLICY_TABLE
      ? [nft.lines(...deleteTable(NAME), ...deleteTable(STANDBY_TABLE))]
      : [createTable(STANDBY_TABLE, after), createTable(NAME, after), nft.lines(...deleteTable(STANDBY_TABLE))]
  if (before === after) return []
  if (before === EMPTY_POLICY_TABLE) return [createTable(NAME, after)]
  if (after === EMPTY_POLICY_TABLE) return [nft.lines(...deleteTable(NAME))]
  const commands = difference(NAME, before, after)
  return commands.length === 0 ? [] : [nft.lines(...commands)]
}

function createTable(name: string, table: PolicyTable): NftText {
  return nft.lines(...deleteTable(name), ...frame(name), ...difference(name, EMPTY_POLICY_TABLE, table))
}

function deleteTable(name: string): NftText[] {
  return [nft`add table inet ${name}`, nft`delete table inet ${name}`]
}

function frame(name: string): NftText[] {
  return [
    nft`table inet ${name} {`,
    nft`  counter refused { }`,
    ...VERDICT_MAPS.map((map) => nft`  map ${map} { type ${addressType(map.endsWith('4') ? 4 : 6)} : verdict; }`),
    nft`  chain ${REJECT_CHAIN} {`,
    nft`    meta l4proto tcp ct state established counter name refused reject with tcp reset`,
    nft`    counter name refused reject with icmpx admin-prohibited`,
    nft`  }`,
    nft`  chain forward {`,
    nft`    type filter hook forward priority filter; policy accept;`,
    // Answers belong to a connection that was allowed when it began, and is still: its other direction is judged packet
    // by packet.
    nft`    ct direction reply accept`,
    nft`    ct state related accept`,
    nft`    ip saddr vmap @out4`,
    nft`    ip6 saddr vmap @out6`,
    nft`    ip daddr vmap @in4`,
    nft`    ip6 daddr vmap @in6`,
    nft`  }`,
    nft`}`,
  ]
}

/** What is needed is made first, then the pods are moved over, then what nobody needs goes. */
function difference(table: string, before: PolicyTable, after: PolicyTable): NftText[] {
  const newSets = [...after.sets].filter(([name]) => !before.sets.has(name))
  const newChains = [...after.chains].filter(([name]) => !before.chains.has(name))
  return [
    ...newSets.map(([name, { type }]) => nft`add set inet ${table} ${name} { type ${type}; }`),
    ...[...after.sets].flatMap(([name, set]) => elementChanges(table, name, before.sets.get(name), set)),
    ...newChains.flatMap(([name, rules]) => [
      nft`add chain inet ${table} ${name}`,
      ...rules.map((rule) => nft`add rule inet ${table} ${name} ${rule}`),
    ]),
    ...VERDICT_MAPS.flatMap((map) =>
      verdictChanges(table, map, before.verdicts.get(map) ?? new Map(), after.verdicts.get(map) ?? new Map()),
    ),
    ...[...before.chains.keys()]
      .filter((name) => !after.chains.has(name))
      .map((name) => nft`delete chain inet ${table} ${name}`),
    ...[...before.sets.keys()]
      .filter((name) => !after.sets.has(name))
      .map((name) => nft`delete set inet ${table} ${name}`),
  ]
}

function elementChanges(table: string, name: string, before: KernelSet | undefined, after: KernelSet): NftText[] {
  if (before?.elements === after.elements) return []
  const known = before?.elements ?? new Set<string>()
  return [
    ...elementCommands(
      'delete',
      table,
      name,
      [...known].filter((element) => !after.elements.has(element)),
    ),
    ...elementCommands(
      'add',
      table,
      name,
      [...after.elements].filter((element) => !known.has(element)),
    ),
  ]
}

/**
 * A pod that goes over to another chain keeps its element, and a chain of its own whose one rule names the other: rules
 * are what a packet sees as it entered.
 */
function verdictChanges(
  table: string,
  map: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): NftText[] {
  const gone = [...before.keys()].filter((address) => !after.has(address))
  const come = [...after.keys()].filter((address) => !before.has(address))
  const moved = [...after].filter(([address, chain]) => before.get(address) !== chain)
  return [
    ...moved.flatMap(([address, chain]) => {
      const own = podChain(map, address)
      return [
        nft`${before.has(address) ? 'flush' : 'add'} chain inet ${table} ${own}`,
        nft`add rule inet ${table} ${own} goto ${chain}`,
      ]
    }),
    ...elementCommands('delete', table, map, gone),
    ...elementCommands(
      'add',
      table,
      map,
      come.map((address) => nft`${address} : jump ${podChain(map, address)}`),
    ),
    ...gone.map((address) => nft`delete chain inet ${table} ${podChain(map, address)}`),
  ]
}

/** A colon cannot stand in a name. */
function podChain(map: string, address: string): string {
  return `pod_${map}_${address.replaceAll(':', '_')}`
}

function elementCommands(
  verb: 'add' | 'delete',
  table: string,
  name: string,
  elements: readonly (string | NftText)[],
): NftText[] {
  return Array.from(
    { length: Math.ceil(elements.length / MAX_ELEMENTS_PER_COMMAND) },
    (_, index) =>
      nft`${verb} element inet ${table} ${name} { ${nft.list(elements.slice(index * MAX_ELEMENTS_PER_COMMAND, (index + 1) * MAX_ELEMENTS_PER_COMMAND))} }`,
  )
}
