/** One of several processes of a controller, seen from within: what it was told to be, and its line to the first. */
import type { Registry } from 'prom-client'
import type { Assignment, FromProcess, ToProcess } from './contract.ts'

/** The environment variable with an Assignment, as JSON. */
export const ASSIGNMENT = 'GANTRY_CONTROLLER_PROCESS'

export class MemberProcess {
  readonly assignment: Assignment
  readonly #waiting = new Map<number, (text: string) => void>()
  #asked = 0
  #registry: Registry | undefined

  private constructor(assignment: Assignment) {
    this.assignment = assignment
    process.on('message', (message: ToProcess) => void this.#receive(message))
    // It means the first process, which replaces the others, but reaches all where a name or a terminal was meant.
    process.on('SIGHUP', () => undefined)
  }

  /** Undefined in a process that a person or a machine has started. */
  static here(): MemberProcess | undefined {
    const text = process.env[ASSIGNMENT]
    if (text === undefined || process.send === undefined) return undefined
    return new MemberProcess(JSON.parse(text) as Assignment)
  }

  /** Tells the first process that this one serves. */
  ready(): void {
    this.#say({ say: 'ready' })
  }

  /** The numbers of all processes together; `own` are this one's, which it tells from now on. */
  metricsOf(own: Registry): () => Promise<string> {
    this.#registry = own
    return () =>
      new Promise((resolve) => {
        const id = ++this.#asked
        this.#waiting.set(id, resolve)
        this.#say({ say: 'metricsWanted', id })
      })
  }

  async #receive(message: ToProcess): Promise<void> {
    switch (message.tell) {
      case 'numbersWanted': {
        const numbers = (await this.#registry?.getMetricsAsJSON()) ?? []
        return this.#say({ say: 'numbers', id: message.id, numbers })
      }
      case 'metrics':
        this.#waiting.get(message.id)?.(message.text)
        this.#waiting.delete(message.id)
    }
  }

  #say(message: FromProcess): void {
    // Without the first process this one ends, by itself.
    if (process.connected) process.send!(message)
  }
}
