/** What a scenario needs of a rig. Class Rig has it all; tests bring a smaller one. */
import type { ClusterClient } from '../../../proto/client/cluster.ts'
import type { CommandOptions, CommandResult } from '../../../proto/base/command.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { Role } from '../contract.ts'

export interface ScenarioRig {
  readonly name: string
  /** HOST:PORT of its registry. */
  readonly registry: string
  readonly client: Pick<ClusterClient, 'list' | 'watch' | 'patch' | 'delete' | 'version'>
  /** Controllers as HOST:PORT, in the order of the machines. */
  context(): { readonly server: readonly string[] }
  readonly driver: { readonly installation: { readonly node: string } }
  readonly machines: readonly ScenarioMachine[]
  /** NotFound, with the nearest name, if the rig has none of that name. */
  machine(name: string): ScenarioMachine
  apply(objects: readonly JsonObject[], options?: { readonly namespace?: string }): Promise<unknown>
  /** Runs the command line against the rig; whatever its exit code is, it is the answer. */
  gantry(args: readonly string[], stdin?: string): Promise<CommandResult>
  load(image: string): Promise<unknown>
  fault(
    kind: string,
    values: Readonly<Record<string, unknown>>,
    options?: { readonly for?: number },
  ): Promise<ScenarioFault>
  /** Writes everything a bug report needs into one archive; its path. */
  logs(file: string): Promise<string>
  /** Ends it; or lets go of it, and it goes on. */
  down(): Promise<void>
  close(): void
}

export interface ScenarioMachine {
  readonly name: string
  readonly role: Role
  readonly address: string
  run(command: readonly string[], options?: CommandOptions): Promise<CommandResult>
  start(): Promise<unknown>
}

export interface ScenarioFault {
  readonly id: string
  readonly description: string
  readonly note?: string | undefined
  /** `ended`: it was over as soon as it was done. */
  readonly record: { readonly ended?: string | undefined }
  /** No error if it has ended. */
  heal(): Promise<unknown>
}
