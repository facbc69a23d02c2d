/** A process that talks inside a network namespace (talker.mjs). */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type Protocol = 'tcp' | 'udp'

export class NetnsPeer {
  readonly #child: ChildProcess
  readonly #pending = new Map<
    number,
    { resolve: (answer: Record<string, string>) => void; reject: (error: Error) => void }
  >()
  #count = 0

  /** `netns`: path of the namespace. */
  constructor(netns: string) {
    this.#child = spawn(
      'nsenter',
      [`--net=${netns}`, '--', process.execPath, fileURLToPath(new URL('talker.mjs', import.meta.url))],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { id, error, ...answer } = JSON.parse(line) as Record<string, string> & { id: number }
      const pending = this.#pending.get(id)
      this.#pending.delete(id)
      if (error === undefined) pending?.resolve(answer)
      else pending?.reject(new Error(error))
    })
  }

  async listen(port: number, protocol: Protocol = 'tcp'): Promise<void> {
    await this.#tell('listen', { port, protocol })
  }

  /** The address as which it is seen there. Rejects if nobody answers within two seconds. */
  async ask(address: string, port: number, protocol: Protocol = 'tcp'): Promise<string> {
    return (await this.#tell('ask', { address, port, protocol })).seenAs!
  }

  /** A connection that stays. */
  async open(name: string, address: string, port: number): Promise<void> {
    await this.#tell('open', { name, address, port })
  }

  /** What comes back over it. */
  async say(name: string, text: string): Promise<string> {
    return (await this.#tell('say', { name, text })).text!
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await gone
  }

  #tell(verb: string, request: object): Promise<Record<string, string>> {
    const id = ++this.#count
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#child.stdin!.write(`${JSON.stringify({ id, verb, ...request })}\n`)
    })
  }
}
