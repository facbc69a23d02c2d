/**
 * The agent's mounts, by the programs mount and umount. https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
import { readFile, statfs } from 'node:fs/promises'
import { run } from '../../proto/base/command.ts'

const TMPFS_MAGIC = 0x01021994

/** Mount points at or below a path, in the order in which they were mounted. */
export async function mountsUnder(path: string): Promise<string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table.split('\n').flatMap((line) => {
    const point = (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(parseInt(octal, 8)),
    )
    return point === path || point.startsWith(`${path}/`) ? [point] : []
  })
}

export async function mountTmpfs(path: string, options: string): Promise<void> {
  await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
}

/** Binds what `source` names (a path under /proc/PID/fd is not resolved to a name first) at `target`. */
export async function bind(source: string, target: string): Promise<void> {
  await run('mount', ['--no-canonicalize', '--bind', source, target])
}

/** Unmounts all at or below a path, the newest first. */
export async function unmountUnder(path: string): Promise<void> {
  const points = await mountsUnder(path)
  if (points.length > 0) await run('umount', ['--no-canonicalize', ...points.reverse()])
}

export async function isTmpfs(path: string): Promise<boolean> {
  return (await statfs(path)).type === TMPFS_MAGIC
}
