/** One set of numbers of several processes: each is asked, and their numbers are added, or joined as they say. */
import { AggregatorRegistry } from 'prom-client'
import type { Clock } from '../../proto/base/clock.ts'
import type { Numbers } from './contract.ts'

/** Milliseconds that processes have to answer. One that does not is left out. */
const PATIENCE = 2_000

interface Question {
  readonly expected: Set<number>
  readonly answers: Numbers[]
  readonly done: () => void
}

export class CombinedMetrics {
  readonly #clock: Clock
  readonly #questions = new Map<number, Question>()
  #asked = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Asks processes by their numbers, and answers with Prometheus' text. */
  async ask(processes: readonly number[], ask: (process: number, id: number) => void): Promise<string> {
    const id = ++this.#asked
    const answers: Numbers[] = []
    await new Promise<void>((resolve) => {
      const late = this.#clock.after(PATIENCE, resolve)
      const done = (): void => {
        late.cancel()
        resolve()
      }
      if (processes.length === 0) return done()
      this.#questions.set(id, { expected: new Set(processes), answers, done })
      for (const process of processes) ask(process, id)
    })
    this.#questions.delete(id)
    return AggregatorRegistry.aggregate(answers as object[]).metrics()
  }

  answered(process: number, id: number, numbers: Numbers): void {
    const question = this.#questions.get(id)
    if (question?.expected.delete(process) !== true) return
    question.answers.push(numbers)
    if (question.expected.size === 0) question.done()
  }

  /** It answers nothing any more. */
  gone(process: number): void {
    for (const { expected, done } of this.#questions.values())
      if (expected.delete(process) && expected.size === 0) done()
  }
}
