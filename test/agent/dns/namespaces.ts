/** A node and a pod as two network namespaces joined by a veth pair, and `Names` running in the node's. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { run, type CommandResult } from '../../../proto/base/command.ts'
import type { NamesCommand } from './names-process.ts'

const PROGRAM = join(import.meta.dirname, 'names-process.ts')
let made = 0

export class Machines {
  readonly node: string
  readonly pod: string
  readonly #running: NamesRun[] = []

  private constructor(prefix: string) {
    this.node = `${prefix}n`
    this.pod = `${prefix}p`
  }

  static async make(): Promise<Machines> {
    const machines = new Machines(`gdns${process.pid}-${made++}`)
    const { node, pod } = machines
    await run('ip', ['netns', 'add', node])
    await run('ip', ['netns', 'add', pod])
    await run('ip', ['link', 'add', 'veth0', 'netns', node, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod])
    for (const [name, lines] of [
      [
        node,
        [
          'link set lo up',
          'addr add 10.1.2.1/24 dev veth0',
          'addr add fd00:1::1/64 dev veth0 nodad',
          'link set veth0 up',
        ],
      ],
      [
        pod,
        [
          'link set lo up',
          'addr add 10.1.2.9/24 dev eth0',
          'addr add fd00:1::9/64 dev eth0 nodad',
          'link set eth0 up',
          'route add default via 10.1.2.1',
        ],
      ],
    ] as const)
      await run('ip', ['-netns', name, '-batch', '-'], { stdin: lines.join('\n') })
    return machines
  }

  /** In the pod. */
  exec(program: string, args: readonly string[], allow: readonly number[] = [0]): Promise<CommandResult> {
    return run('ip', ['netns', 'exec', this.pod, program, ...args], { allow, timeout: 60_000 })
  }

  inNode(program: string, args: readonly string[], allow: readonly number[] = [0]): Promise<CommandResult> {
    return run('ip', ['netns', 'exec', this.node, program, ...args], { allow })
  }

  names(...args: string[]): NamesRun {
    const running = new NamesRun(this.node, args)
    this.#running.push(running)
    return running
  }

  async remove(): Promise<void> {
    for (const running of this.#running) await running.kill()
    await run('ip', ['netns', 'del', this.pod])
    await run('ip', ['netns', 'del', this.node])
  }
}

export class NamesRun {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #waiting: ((line: string) => void)[] = []

  constructor(netns: string, args: readonly string[]) {
    this.#child = spawn('ip', ['netns', 'exec', netns, process.execPath, '--import', 'tsx', PROGRAM, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout! })
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line))
  }

  get pid(): number {
    return this.#child.pid!
  }

  async tell(command: NamesCommand): Promise<unknown> {
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve))
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`)
    const { value, error } = JSON.parse(await answer) as { value?: unknown; error?: string }
    if (error !== undefined) throw new Error(error)
    return value
  }

  /** As by kill -9: nothing is put away. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    await this.tell({ stop: true })
    this.#child.stdin!.end()
    await gone
  }
}
