/** The command line against a control plane in memory. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { upsertContext } from '../../proto/client/context-changes.ts'
import { FakeClock, systemClock, type Clock } from '../../proto/base/clock.ts'
import { startGantry, type Result, type RunOptions, type Running } from '../support/command-line.ts'
import { GrpcApiServer } from '../support/grpc-api-server.ts'

export type { Result, Running, RunOptions } from '../support/command-line.ts'

export const NOW = Date.UTC(2026, 0, 31, 12, 0, 0)

/** A control plane in memory, a context file that names it, and a directory for manifests. */
export class Console {
  server!: GrpcApiServer
  /** Timers are real, the time of day stands still. */
  readonly clock: Clock = { ...systemClock, now: () => NOW }
  directory = ''

  async open(): Promise<this> {
    this.directory = await mkdtemp(path.join(tmpdir(), 'gantry-cli-'))
    this.server = await GrpcApiServer.start(new FakeClock(NOW))
    await upsertContext(this.configFile, { name: 'test', server: [this.address] })
    return this
  }

  async close(): Promise<void> {
    await this.server.stop()
    await rm(this.directory, { recursive: true, force: true })
  }

  get address(): string {
    return this.server.address
  }

  get configFile(): string {
    return path.join(this.directory, 'config.yaml')
  }

  async file(name: string, text: string): Promise<string> {
    await writeFile(path.join(this.directory, name), text)
    return name
  }

  start(argv: readonly string[], options: RunOptions = {}): Running {
    return startGantry(
      argv,
      { env: { GANTRY_CONFIG: this.configFile }, cwd: this.directory, clock: this.clock },
      options,
    )
  }

  run(argv: readonly string[] | string, options: RunOptions = {}): Promise<Result> {
    return this.start(typeof argv === 'string' ? argv.split(' ') : argv, options).result
  }
}
