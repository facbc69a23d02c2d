/**
 * gantry-fault TASK [FILE]: does one task (task.ts) until it is ended. Says in the file, or on standard output without
 * one, when it is in effect, or why it will not be. Ends by itself when the file is taken away: so it is ended also by
 * one who does not know its pid.
 */
import { renameSync, watchFile, writeFileSync } from 'node:fs'
import { GantryError } from '../../../../proto/base/errors.ts'
import { systemClock as clock } from '../../../../proto/base/clock.ts'
import { systemRandom as random } from '../../../../proto/base/random.ts'
import { DnsResponder } from './dns-responder.ts'
import { holdMemory, startCpu, startMemory } from './hog.ts'
import { RegistryProxy } from './registry-proxy.ts'
import { StreamProxy } from './stream-proxy.ts'
import type { Ready, Task } from './task.ts'

/** Milliseconds between looks at the file. */
const LOOK = 500

/** What has been started: its ports, and how it is ended before the process ends. */
interface Running {
  readonly ports: readonly number[]
  readonly stop?: () => void
}

async function start(task: Task, end: () => void): Promise<Running> {
  switch (task.mode) {
    case 'streams': {
      const proxy = new StreamProxy(task, { clock, random })
      return { ports: await proxy.start(), stop: () => proxy.stop() }
    }
    case 'registry': {
      const proxy = new RegistryProxy(task, { clock, random })
      return { ports: [await proxy.start()], stop: () => proxy.stop() }
    }
    case 'dns': {
      if (task.group !== undefined) process.setegid!(task.group)
      const responder = new DnsResponder(task, clock)
      return { ports: await responder.start(), stop: () => responder.stop() }
    }
    case 'memory':
      await startMemory(task, end)
      return { ports: [] }
    case 'cpu':
      await startCpu(task)
      return { ports: [] }
    case 'hold': {
      const held = holdMemory(task)
      // Kept as long as whoever started this.
      process.stdin.resume().once('end', () => process.exit(held.length === 0 ? 1 : 0))
      return { ports: [] }
    }
  }
}

function say(ready: Ready, file: string | undefined): void {
  const line = `${JSON.stringify(ready)}\n`
  if (file === undefined) return void process.stdout.write(line)
  writeFileSync(`${file}.new`, line)
  renameSync(`${file}.new`, file)
}

async function main(): Promise<void> {
  const [text = '', file] = process.argv.slice(2)
  let running: Running | undefined
  const end = (): void => {
    running?.stop?.()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end)
  try {
    running = await start(JSON.parse(text) as Task, end)
    say({ ports: running.ports }, file)
    if (file !== undefined) watchFile(file, { interval: LOOK }, ({ nlink }) => void (nlink === 0 && end()))
  } catch (thrown) {
    const { message } = GantryError.from(thrown)
    process.stderr.write(`gantry-fault: ${message}\n`)
    say({ error: message }, file)
    process.exit(1)
  }
}

void main()
