/**
 * Keeps a member's database below its quota. Beyond it etcd refuses writes, and goes on refusing them until somebody
 * has made room and taken its alarm back; and one object that is written over again and again fills it long before etcd
 * forgets history by itself.
 * https://etcd.io/docs/v3.5/op-guide/maintenance/#space-quota
 */
import type { IAlarmRequest, IAlarmResponse, ICompactionRequest, IStatusResponse } from 'etcd3'
import { GantryError } from '../../proto/base/errors.ts'
import { elapsed, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { EtcdConnection } from '../store/etcd-connection.ts'

/** Milliseconds between looks. */
const CHECK_INTERVAL_MS = 5_000
/** Milliseconds for one call: a database of a GiB is not written anew in a moment. */
const MAINTENANCE_TIMEOUT_MS = 60_000
/**
 * Shares of the quota: in use, and so much more than after the last time, from which on history is forgotten; of the
 * file, from which on it is made smaller.
 */
const COMPACT_USED_RATIO = 0.4
const COMPACT_GROWTH_RATIO = 0.2
const DEFRAG_FILE_RATIO = 0.8

export interface EtcdMaintenanceOptions {
  /** Of the member itself. */
  readonly address: string
  /** Bytes. */
  readonly quota: number
  /** Whether it answers: one that is being started is left alone. */
  readonly ready: () => boolean
  readonly clock: Clock
  readonly logger: Logger
}

export class EtcdMaintenance {
  readonly #options: EtcdMaintenanceOptions
  /** Bytes in use when history was forgotten last: what is left is no history. */
  #kept = 0
  #defragmenting = false

  constructor(options: EtcdMaintenanceOptions) {
    this.#options = options
  }

  /** The member writes its database anew, and answers nobody until that is done. */
  get defragmenting(): boolean {
    return this.#defragmenting
  }

  /** Until the signal is aborted. A member that does not answer is looked at again. */
  async run(signal: AbortSignal): Promise<void> {
    const { address, ready, clock, logger } = this.#options
    const connection = new EtcdConnection({ endpoints: [address], timeout: MAINTENANCE_TIMEOUT_MS, clock })
    const close = (): void => connection.close()
    signal.addEventListener('abort', close, { once: true })
    while (await elapsed(clock, CHECK_INTERVAL_MS, signal)) {
      if (!ready()) continue
      try {
        await this.#look(connection)
      } catch (thrown) {
        if (!signal.aborted) logger.warn({ err: thrown }, 'cannot look after the space of etcd now')
      }
    }
  }

  async #look(connection: EtcdConnection): Promise<void> {
    const { quota, logger } = this.#options
    let status = await statusOf(connection)
    const { revision, errors } = status
    if (status.used >= quota * COMPACT_USED_RATIO && status.used - this.#kept >= quota * COMPACT_GROWTH_RATIO) {
      await compact(connection, revision)
      status = await statusOf(connection)
      this.#kept = status.used
      logger.info(
        { revision, used: status.used, file: status.file },
        'etcd has forgotten its history, which took much space',
      )
    }
    if (status.file >= quota * DEFRAG_FILE_RATIO && status.used < status.file / 2) {
      this.#defragmenting = true
      try {
        await connection.call('Maintenance', 'defragment', {}, 'write')
      } finally {
        this.#defragmenting = false
      }
      status = await statusOf(connection)
      logger.info({ file: status.file }, 'the database of etcd is written anew')
    }
    if (errors > 0) await this.#takeBack(connection, status)
  }

  /** The alarm for want of space, if this member has raised it and has space. */
  async #takeBack(connection: EtcdConnection, { member, used, file }: Status): Promise<void> {
    const { quota, logger } = this.#options
    const { alarms } = await connection.call<IAlarmResponse>(
      'Maintenance',
      'alarm',
      { action: 'Get', memberID: member, alarm: 'None' } satisfies IAlarmRequest,
      'read',
    )
    if (!alarms.some(({ memberID, alarm }) => memberID === member && alarm === 'Nospace')) return
    if (file >= quota) {
      logger.error(
        { used, file, quota },
        'the database of etcd is full: nothing can be written until objects are deleted',
      )
      return
    }
    await connection.call(
      'Maintenance',
      'alarm',
      { action: 'Deactivate', memberID: member, alarm: 'Nospace' } satisfies IAlarmRequest,
      'write',
    )
    logger.warn({ file, quota }, 'the database of etcd was full and takes writes again')
  }
}

/** It may be forgotten already, by way of another member. */
async function compact(connection: EtcdConnection, revision: string): Promise<void> {
  try {
    await connection.call('KV', 'compact', { revision, physical: true } satisfies ICompactionRequest, 'write')
  } catch (thrown) {
    if (!GantryError.is(thrown, 'Expired')) throw thrown
  }
}

interface Status {
  readonly member: string
  readonly revision: string
  /** Bytes that the database needs, and that its file has. */
  readonly used: number
  readonly file: number
  /** Alarms among them. */
  readonly errors: number
}

async function statusOf(connection: EtcdConnection): Promise<Status> {
  const { header, dbSize, dbSizeInUse, errors } = await connection.call<IStatusResponse>(
    'Maintenance',
    'status',
    {},
    'read',
  )
  return {
    member: header.member_id,
    revision: header.revision,
    used: Number(dbSizeInUse),
    file: Number(dbSize),
    errors: errors.length,
  }
}
