/** The size of a pseudo-terminal, set from outside of whoever uses it. */
import type { Run } from '../../launcher.ts'

export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** Of a process that uses it: standard input, output, error. One of them may lead elsewhere. */
const DESCRIPTORS = [0, 1, 2]

/**
 * Sets it on the side of the process; the kernel then sends SIGWINCH to the terminal's foreground processes. It is set when this resolves. (conmon would do it
 * some time later, after input that was sent after the size; and of two sizes that it reads at once, version 2.1.12 takes the first twice.)
 * A process that has no terminal any more, or has ended: nothing happens.
 */
export async function resizeTerminal(run: Run, pid: number, { width, height }: TerminalSize): Promise<void> {
  for (const descriptor of DESCRIPTORS) {
    const { code } = await run('stty', ['-F', `/proc/${pid}/fd/${descriptor}`, 'rows', String(height), 'cols', String(width)], { allow: [0, 1] })
    if (code === 0) return
  }
}
