/** The table in the kernel: read and changed by nft(8), in the network namespace that the node's traffic passes. */
import type { Run } from '../../host/launcher.ts'
import { nft, type NftText } from '../../host/program-text.ts'
import { nodeCommands, type NodeCommands } from '../node-commands.ts'
import { readElements, readOutline, type TableElements } from './table-content.ts'
import { declarations, ELEMENT_MAPS, isPickChain, rules, SETS, TABLE, TABLE_NAME, type Ranges } from './layout.ts'
import { transaction, type TableChange } from './transaction.ts'

export interface KernelTable {
  readonly elements: TableElements
  /** Names of the chains that are made on demand. */
  readonly chains: readonly string[]
  /** False: there is none, or one of another version, which `replace` takes the place of. */
  readonly usable: boolean
}

/** Milliseconds for one run of nft: the first load of very many Services takes some seconds on a slow machine. */
const NFT_TIMEOUT_MS = 60_000

export class ServiceTable {
  readonly #run: Run
  readonly #node: NodeCommands

  /** `run`: where the table is. */
  constructor(run: Run) {
    this.#run = run
    this.#node = nodeCommands(run, undefined)
  }

  /**
   * Everything that it holds now. Clients remembered for affinity are not read: there may be very many, and they are
   * the kernel's own matter.
   */
  async read(): Promise<KernelTable> {
    const outline = await this.#run('nft', ['-j', '-t', 'list', 'table', ...TABLE.split(' ')], { allow: [0, 1] })
    if (outline.code !== 0) {
      // Nothing but a table that is not there may be the reason.
      await this.#run('nft', ['-j', 'list', 'tables'])
      return { elements: new Map(), chains: [], usable: false }
    }
    const { usable, chains } = readOutline(outline.stdout)
    if (!usable) return { elements: new Map(), chains: [], usable }
    // One run each: of several lists in one run nft finds only the last one's elements.
    const answers = await Promise.all(
      ELEMENT_MAPS.map(
        async (map) =>
          (
            await this.#run('nft', ['-j', 'list', SETS.has(map) ? 'set' : 'map', ...TABLE.split(' '), map], {
              timeout: NFT_TIMEOUT_MS,
            })
          ).stdout,
      ),
    )
    return { elements: readElements(answers), chains: chains.filter(isPickChain), usable }
  }

  /**
   * Makes the table, writes all its rules anew and changes its elements; where there is none to go on with, in one
   * transaction.
   */
  async replace(ranges: Ranges, change: TableChange, usable: boolean): Promise<void> {
    if (!usable) {
      // The empty table first: a deletion of one that is not there fails.
      return this.#commit([
        nft`add table inet ${TABLE_NAME}`,
        nft`delete table inet ${TABLE_NAME}`,
        ...declarations(),
        ...rules(ranges),
        ...transaction(change),
      ])
    }
    await this.#commit([...declarations(), ...chainsOf(change)])
    await this.#commit([...rules(ranges), ...transaction({ ...change, made: [] })])
  }

  /** Rejects, and has changed no element, if any part of it cannot be. */
  async change(change: TableChange): Promise<void> {
    await this.#commit(chainsOf(change))
    await this.#commit(transaction({ ...change, made: [] }))
  }

  async #commit(commands: readonly NftText[]): Promise<void> {
    if (commands.length > 0) await this.#node.nft(nft.lines(...commands), { timeout: NFT_TIMEOUT_MS })
  }
}

/**
 * New chains, to be made in a transaction before: a packet on its way finds elements as they are when it looks, but
 * chains as they were when it entered the first one. In one made together with the element that leads to it, it would
 * find no rule.
 */
function chainsOf(change: TableChange): NftText[] {
  return transaction({ ...change, elements: [], removed: [] })
}
