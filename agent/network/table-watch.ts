/**
 * Sees that somebody has removed tables of nftables that the node's network is made of, as `nft flush ruleset` and a
 * firewall that is started again do: pods would be without policies, Services and names, and nothing of the agent's
 * would fail.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { elapsed, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Run } from '../host/launcher.ts'

/** Milliseconds between looks: each is one short run of nft(8). */
const CHECK_INTERVAL_MS = 5_000

/** Who makes tables. */
export interface TableOwner {
  readonly name: string
  /** Those that must be in the kernel now, as nft(8) lists them: "inet gantry_services". */
  tables(): readonly string[]
  /** Makes them again, beside what goes on. Undefined: only the agent's next beginning does. */
  readonly restore: (() => void) | undefined
}

export interface MissingTable {
  readonly table: string
  readonly owner: TableOwner
}

export interface TableWatchParts {
  readonly run: Run
  readonly clock: Clock
  readonly logger: Logger
  readonly owners: readonly TableOwner[]
}

export class TableWatch {
  readonly #parts: TableWatchParts

  constructor(parts: TableWatchParts) {
    this.#parts = parts
  }

  /** Rejects with what nft says if it cannot be asked. */
  async missing(): Promise<MissingTable[]> {
    const { run, owners } = this.#parts
    const expected = (): MissingTable[] => owners.flatMap((owner) => owner.tables().map((table) => ({ table, owner })))
    const before = new Set(expected().map(({ table }) => table))
    const { stdout } = await run('nft', ['list', 'tables'])
    const present = new Set(stdout.split('\n').map((line) => line.replace(/^table /, '').trim()))
    // One that was made or removed meanwhile says nothing.
    return expected().filter(({ table }) => before.has(table) && !present.has(table))
  }

  /**
   * Until the signal is aborted. FailedPrecondition: a table is gone that only the agent's next beginning makes again,
   * which therefore must come.
   */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#parts
    while (await elapsed(clock, CHECK_INTERVAL_MS, signal)) {
      let missing: MissingTable[]
      try {
        missing = await this.missing()
      } catch (thrown) {
        logger.warn(
          { err: GantryError.from(thrown) },
          'nft cannot be asked whether the tables of the network are there',
        )
        continue
      }
      for (const { table, owner } of missing)
        logger.error(
          { table, part: owner.name },
          'a table of the network was removed by somebody else and is made again',
        )
      const lasting = missing.find(({ owner }) => owner.restore === undefined)
      if (lasting !== undefined)
        throw new GantryError(
          'FailedPrecondition',
          `somebody has removed table ${lasting.table} of nftables; the agent begins anew and makes it again`,
          {
            details: [
              { field: 'table', value: lasting.table, remedy: 'keep other firewalls from flushing the whole ruleset' },
            ],
          },
        )
      for (const owner of new Set(missing.map((one) => one.owner))) owner.restore?.()
    }
  }
}
