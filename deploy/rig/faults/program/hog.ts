/** Takes memory or processor time, and says when it has it. */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { CpuTask, HoldTask, MemoryTask } from './task.ts'

/** Bytes taken at a time. */
const STEP = 64 * 1024 * 1024

/** Memory, every page of it written: what is only reserved takes none. The answer is to be kept. */
export function holdMemory({ bytes }: HoldTask): Buffer[] {
  const held: Buffer[] = []
  for (let left = bytes; left > 0; left -= STEP) held.push(Buffer.allocUnsafeSlow(Math.min(STEP, left)).fill(0xa5))
  return held
}

/**
 * Holds memory in a process of its own, which ends with this one. Resolves when it has it all, ResourceExhausted if the
 * kernel ended it before; `ended` is called if it does so later.
 */
export function startMemory({ bytes }: MemoryTask, ended: () => void): Promise<void> {
  const task: HoldTask = { mode: 'hold', bytes }
  const child = spawn(process.execPath, [process.argv[1]!, JSON.stringify(task)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    let held = false
    child.once('error', reject)
    child.stdout.once('data', () => {
      held = true
      resolve()
    })
    child.once('close', (code, signal) => {
      if (held) return ended()
      reject(
        new GantryError(
          'ResourceExhausted',
          `the kernel gave no ${bytes} bytes: the process that took them ended with ${signal ?? `code ${code}`}`,
          {
            details: [{ field: 'bytes', value: String(bytes), remedy: 'take less, or give the machines more memory' }],
          },
        ),
      )
    })
  })
}

/** Busy threads; resolves when all run. */
export async function startCpu({ threads = availableParallelism() }: CpuTask): Promise<void> {
  const workers = Array.from({ length: threads }, () => new Worker('for (;;);', { eval: true }))
  await Promise.all(workers.map((worker) => once(worker, 'online')))
}
