/**
 * A rig for the tests of scenarios: a controller's API over a memory store, machines that answer what a test says,
 * faults that are written down.
 */
import { setMaxListeners } from 'node:events'
import { ClusterClient } from '../../../../proto/client/cluster.ts'
import { parseScenario, type ParseOptions } from '../../../../deploy/rig/scenario/parse.ts'
import { perform, type PerformListener } from '../../../../deploy/rig/scenario/perform.ts'
import type { ScenarioResult, StepResult } from '../../../../deploy/rig/scenario/result.ts'
import type { Scenario, Step } from '../../../../deploy/rig/scenario/scenario.ts'
import type { ScenarioFault, ScenarioMachine, ScenarioRig } from '../../../../deploy/rig/scenario/scenario-rig.ts'
import { faultTypes } from '../../../../deploy/rig/faults/index.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { connect } from '../../../../proto/rpc/rpc.ts'
import { systemClock, type Clock } from '../../../../proto/base/clock.ts'
import type { CommandResult } from '../../../../proto/base/command.ts'
import type { JsonObject } from '../../../../proto/gen/types.ts'
import { GrpcApiServer } from '../../../support/grpc-api-server.ts'

export type Script = (words: readonly string[]) => CommandResult | Promise<CommandResult>

export const output = (stdout: string, code = 0, stderr = ''): CommandResult => ({ code, stdout, stderr })

/** Reads a scenario as the command does. `files`: those beside it, by name. */
export function parse(
  text: string,
  files: Readonly<Record<string, string>> = {},
  options: Partial<ParseOptions> = {},
): Scenario {
  const read = (path: string): string => {
    const found = files[path.slice('/scenarios/'.length)]
    if (found === undefined) throw Object.assign(new Error('not there'), { code: 'ENOENT' })
    return found
  }
  return parseScenario(text, 'test.yaml', {
    faults: Object.values(faultTypes),
    library: { directory: '/scenarios', read, exists: (path) => path !== '/scenarios/none.tar' },
    ...options,
  })
}

export class FakeRig implements ScenarioRig {
  readonly name = 'fake'
  readonly registry = '10.87.0.3:5000'
  readonly driver = { installation: { node: '/usr/bin/node' } }
  readonly server: GrpcApiServer
  /** What was done, in order: "kill n2", "heal kill", "load web.tar". */
  readonly done: string[] = []
  /** Answers of machines by name, and of the command line as "gantry". */
  readonly scripts: Record<string, Script> = { gantry: () => output('') }
  readonly client: ClusterClient
  #leader: string | undefined
  #faults = 0
  readonly #end = new AbortController()

  private constructor(server: GrpcApiServer) {
    this.server = server
    setMaxListeners(0, this.#end.signal)
    this.client = new ClusterClient({
      context: { name: 'fake', server: [server.address] },
      credentials: undefined,
      connect,
      clock: systemClock,
      signal: this.#end.signal,
      timeout: 2_000,
    })
  }

  static async open(): Promise<FakeRig> {
    return new FakeRig(await GrpcApiServer.start())
  }

  async dispose(): Promise<void> {
    this.#end.abort(new GantryError('Cancelled', 'closed'))
    this.client.close()
    await this.server.stop()
  }

  set leader(name: string) {
    this.#leader = name
    this.client.version = async () => ({ version: '', controller: '', leader: this.#leader ?? '', nodeVersion: '' })
  }

  context(): { server: string[] } {
    return { server: ['10.87.0.2:7443', '10.87.0.4:7443', '10.87.0.5:7443'] }
  }

  get machines(): ScenarioMachine[] {
    return [1, 2, 3]
      .map((number) => this.machine(`controller-${number}`))
      .concat(['n1', 'n2', 'n3'].map((name) => this.machine(name)))
  }

  machine(name: string): ScenarioMachine {
    return {
      name,
      role: name.startsWith('controller') ? 'controller' : 'node',
      address: '10.87.0.11',
      run: async (command) => {
        const script = this.scripts[name]
        if (script === undefined) throw new GantryError('FailedPrecondition', `${name} is off`)
        return script(command)
      },
      start: async () => void this.done.push(`start ${name}`),
    }
  }

  async apply(objects: readonly JsonObject[]): Promise<void> {
    for (const object of objects) {
      const { kind, metadata } = object as { kind: string; metadata: { name: string; namespace?: string } }
      this.done.push(
        `apply ${kind}/${metadata.name}${metadata.namespace === undefined ? '' : ` in ${metadata.namespace}`}`,
      )
      await this.server.put(object)
    }
  }

  async gantry(args: readonly string[]): Promise<CommandResult> {
    this.done.push(`gantry ${args.join(' ')}`)
    return this.scripts.gantry!(args)
  }

  async load(image: string): Promise<void> {
    this.done.push(`load ${image}`)
  }

  async fault(
    kind: string,
    values: Readonly<Record<string, unknown>>,
    options: { for?: number } = {},
  ): Promise<ScenarioFault> {
    this.done.push(
      `${kind} ${Object.values(values).join(' ')}${options.for === undefined ? '' : ` for ${options.for}`}`.trim(),
    )
    return {
      id: `f${++this.#faults}`,
      description: kind,
      note: 'in the test',
      record: kind === 'reboot' || String(values.target).includes('/') ? { ended: '2026-01-01T00:00:00Z' } : {},
      heal: async () => void this.done.push(`heal ${kind}`),
    }
  }

  async logs(file: string): Promise<string> {
    this.done.push('logs')
    return file
  }

  async down(): Promise<void> {
    this.done.push('down')
  }

  close(): void {
    this.done.push('close')
  }
}

/** Runs a scenario on the fake rig. */
export class ScenarioFixture {
  readonly rig: FakeRig
  readonly began: string[] = []
  readonly ended: StepResult[] = []
  readonly interrupt = new AbortController()

  constructor(rig: FakeRig) {
    this.rig = rig
  }

  run(
    text: string,
    { own = true, keep = false, clock = systemClock }: { own?: boolean; keep?: boolean; clock?: Clock } = {},
  ): Promise<ScenarioResult> {
    const listener: PerformListener = {
      ready: () => undefined,
      begun: (step: Step) => void this.began.push(step.number),
      ended: (result) => void this.ended.push(result),
    }
    const scenario = parse(text, {}, { machines: this.rig.machines })
    return perform(scenario, {
      rig: async () => this.rig,
      own,
      keep,
      clock,
      signal: this.interrupt.signal,
      listener,
      archive: ({ name }) => `/logs/${name}`,
    })
  }
}

/** "1 passed, 2 failed" */
export function statuses({ steps }: ScenarioResult): string {
  return steps.map(({ number, round, status }) => `${number}${round === '' ? '' : `/${round}`} ${status}`).join(', ')
}
