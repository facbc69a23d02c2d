/**
 * A shell that waits to be told what to run, one command after the other. It runs a program as its own child (dash by
 * vfork), so that a program costs the start of one process and no more.
 *
 *   agent ── a line of shell ──▶ sh ──▶ program      its input and outputs are files of this shell
 *     ▲                          │
 *     └─────────── one line ─────┘
 *
 * The shell ends with the agent, when its input does; a program under way then runs to its end.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { readProcess } from '../../proto/base/process.ts'

/** Who waits for the line that a command answers with, or for the error if the shell ends without. */
export interface Waiting {
  readonly answered: (line: string) => void
  readonly failed: (error: GantryError) => void
}

export class WorkerShell {
  readonly number: number
  readonly #directory: string
  readonly #child: ChildProcess
  #waiting: Waiting | undefined
  #text = ''

  /** `directory`: for its files, which bear its number. `gone` is called when it has ended by itself. */
  constructor(directory: string, number: number, gone: () => void) {
    this.#directory = directory
    this.number = number
    this.#child = spawn('/bin/sh', [], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH },
    })
    this.#hold(false)
    const ended = (cause?: Error): void => {
      gone()
      this.#fail(
        new GantryError('Internal', `a shell of the launcher ended${cause === undefined ? '' : `: ${cause.message}`}`, {
          cause,
        }),
      )
    }
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#child.on('error', ended)
    // Not 'close': what a program left running may hold the shell's output open.
    this.#child.on('exit', () => ended())
    this.#child.stdin!.on('error', ended)
  }

  file(kind: 'in' | 'out' | 'err'): string {
    return join(this.#directory, `${kind}.${this.number}`)
  }

  /** `script`: one line that makes the shell write one line. The shell must be idle. */
  give(script: string, waiting: Waiting): void {
    this.#waiting = waiting
    this.#hold(true)
    this.#child.stdin!.write(`${script}\n`)
  }

  /** Kills the program under way, if it has begun. */
  kill(): void {
    const { pid } = this.#child
    for (const child of readProcess(pid!, `task/${pid!}/children`)?.trim().split(' ') ?? [])
      if (child !== '') kill(Number(child))
  }

  /** It ends after what is under way, of which nobody is told any more. */
  end(): void {
    this.#child.stdin!.end()
    this.#fail(new GantryError('Cancelled', 'the launcher is stopped'))
  }

  #read(chunk: Buffer): void {
    this.#text += chunk.toString()
    const end = this.#text.indexOf('\n')
    if (end < 0) return
    const line = this.#text.slice(0, end)
    this.#text = ''
    this.#settle()?.answered(line)
  }

  #fail(error: GantryError): void {
    this.#settle()?.failed(error)
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting
    this.#waiting = undefined
    this.#hold(false)
    return waiting
  }

  /** Node.js goes on while it waits for an answer, and no longer. */
  #hold(on: boolean): void {
    const { stdin, stdout } = this.#child
    for (const part of [this.#child, stdin as Socket, stdout as Socket])
      if (on) part.ref()
      else part.unref()
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw GantryError.from(thrown)
  }
}
