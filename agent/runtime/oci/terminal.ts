/** The size of a pseudo-terminal, set from outside of whoever uses it. */
import { open, statfs, type FileHandle } from 'node:fs/promises'
import type { Run } from '../../host/launcher.ts'

export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** Of a process that uses it: standard input, output, error. One of them may lead elsewhere. */
const DESCRIPTORS = [0, 1, 2]
/** Of Linux on every architecture that Node.js runs on; not in fs.constants. */
const O_PATH = 0o10000000
/** statfs(2) of the file system that has pseudo-terminals, devpts. */
const DEVPTS_MAGIC = 0x1cd1
/** Major numbers of the processes' side of pseudo-terminals, pts(4). */
const [FIRST_PTS_MAJOR, LAST_PTS_MAJOR] = [136, 143]

/**
 * Sets it on the side of the process; the kernel then sends SIGWINCH to the terminal's foreground processes. It is set
 * when this resolves. (conmon would do it some time later, after input that was sent after the size; and of two sizes
 * that it reads at once, version 2.1.12 takes the first twice.) False: the process has no terminal, not yet or not any
 * more, or has ended; nothing has happened.
 */
export async function resizeTerminal(run: Run, pid: number, { width, height }: TerminalSize): Promise<boolean> {
  for (const descriptor of DESCRIPTORS) {
    const terminal = await holdTerminal(`/proc/${pid}/fd/${descriptor}`)
    if (terminal === undefined) continue
    try {
      const { code } = await run(
        'stty',
        ['-F', `/proc/${process.pid}/fd/${terminal.fd}`, 'rows', String(height), 'cols', String(width)],
        { allow: [0, 1] },
      )
      if (code === 0) return true
    } finally {
      await terminal.close()
    }
  }
  return false
}

/**
 * What a process has as a descriptor, if it is a pseudo-terminal, held by reference only (O_PATH). The process chooses
 * what its descriptors lead to, and to open something can do something: a device may rewind a tape or arm a watchdog, a
 * FIFO wakes its writer. So it is looked at before anybody opens it, and what is opened afterwards is the very thing
 * that was looked at. The kernel opens the number of a terminal only on a devpts file system, of which each container
 * has its own.
 */
async function holdTerminal(path: string): Promise<FileHandle | undefined> {
  let held: FileHandle
  try {
    held = await open(path, O_PATH)
  } catch {
    return undefined // closed, or its process has ended
  }
  try {
    const stat = await held.stat()
    const major = (stat.rdev >> 8) & 0xfff
    const isTerminal = stat.isCharacterDevice() && major >= FIRST_PTS_MAJOR && major <= LAST_PTS_MAJOR
    if (isTerminal && (await statfs(`/proc/${process.pid}/fd/${held.fd}`)).type === DEVPTS_MAGIC) return held
  } catch (error) {
    await held.close()
    throw error
  }
  await held.close()
  return undefined
}
