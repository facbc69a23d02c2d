/** What starting Node.js takes, which does nothing: the floor of every command. */
import { run } from '../../proto/base/command.ts'
import type { Figure } from './figures.ts'

export async function nodeStartFigure(count: number): Promise<Figure> {
  const samples: number[] = []
  for (let index = 0; index < count; index++) {
    const began = performance.now()
    await run(process.execPath, ['-e', '0'])
    samples.push(performance.now() - began)
  }
  return { name: 'node -e 0', unit: 'ms', samples }
}
