/**
 * A data directory belongs to one controller: a second one on it would end the first one's etcd as left over from an
 * earlier run.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { writePrivate } from './private-file.ts'
import { findRecorded, recordOfSelf } from './process-record.ts'

const RECORD = 'controller.process'

/**
 * Takes the directory for this process, making it if needed; FailedPrecondition while another process has it. It is
 * free again when this one ends, however that happens.
 */
export async function claimDirectory(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const record = join(dataDir, RECORD)
  await requireFree(dataDir, record)
  await writePrivate(record, await recordOfSelf())
  // Of two that begin at the same time, the one whose record was replaced gives way.
  await requireFree(dataDir, record)
}

async function requireFree(dataDir: string, record: string): Promise<void> {
  const holder = await findRecorded(record)
  if (holder === undefined || holder.pid === process.pid) return
  throw new GantryError(
    'FailedPrecondition',
    `the data directory ${dataDir} is used by the controller with process id ${holder.pid}`,
    {
      details: [
        {
          field: 'dataDir',
          value: dataDir,
          message: `is used by process ${holder.pid}`,
          remedy: 'stop that controller, or give this one a directory of its own',
        },
      ],
    },
  )
}
