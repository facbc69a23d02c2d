/**
 * `gantry rig call`: the TypeScript API of a rig for a process that is elsewhere: another container's, another
 * language's.
 */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import type { CommandOptions } from '../../../proto/base/command.ts'
import type { ErrorDetail, JsonValue } from '../../../proto/gen/types.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import type { Role } from '../contract.ts'
import type { BeginOptions } from '../faults/fault-engine.ts'
import { Rig } from '../rig.ts'
import type { NodeRemoval } from '../rig-handle.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export interface CalledMachine {
  readonly name: string
  readonly role: Role
  readonly address: string
}

const machinesOf = (machines: Rig['machines']): CalledMachine[] =>
  machines.map(({ name, role, address }) => ({ name, role, address }))

/** What can be called: parameters and answers as in class Rig and class RigMachine, as far as they are JSON. */
const METHODS = {
  machines: async (rig: Rig) => machinesOf(rig.machines),
  fault: async (rig: Rig, kind: string, values: Readonly<Record<string, unknown>>, options?: BeginOptions) =>
    (await rig.fault(kind, values, options)).record,
  heal: (rig: Rig, ...ids: string[]) => rig.heal(...ids),
  faults: (rig: Rig) => rig.faults(),
  startMachine: (rig: Rig, name: string) => rig.startMachine(name),
  addNode: async (rig: Rig, count?: number) => machinesOf(await rig.addNode(count)),
  removeNode: (rig: Rig, name: string, removal?: NodeRemoval) => rig.removeNode(name, removal),
  load: (rig: Rig, image: string, options?: { readonly name?: string }) => rig.load(image, options),
  logs: (rig: Rig, file: string) => rig.logs(file),
  state: (rig: Rig, machine: string) => rig.machine(machine).state(),
  run: (rig: Rig, machine: string, command: readonly string[], options?: CommandOptions) =>
    rig.machine(machine).run(command, options),
  log: (rig: Rig, machine: string, most?: number) => rig.machine(machine).log(most),
} satisfies Record<string, (rig: Rig, ...args: never[]) => Promise<unknown>>

export type Method = keyof typeof METHODS
export type Parameters<M extends Method> = (typeof METHODS)[M] extends (rig: Rig, ...args: infer A) => unknown
  ? A
  : never
export type Answer<M extends Method> = Awaited<ReturnType<(typeof METHODS)[M]>>

/** What is written, as one line of JSON. */
export type Called =
  | { readonly value: unknown }
  | {
      readonly error: {
        readonly code: GantryError['code']
        readonly message: string
        readonly details: readonly ErrorDetail[]
      }
    }

export default defineCommand({
  usage: 'METHOD [JSON…] [flags]',
  summary: "call a method of the rig's TypeScript API",
  description: `Calls a method with parameters as JSON, and writes {"value": …} or {"error": {"code", "message", "details"}} as JSON. Methods: ${Object.keys(METHODS).join(', ')}. Of a machine's own methods (state, run, log) the first parameter is its name.`,
  examples: [
    'gantry rig call faults',
    `gantry rig call fault '"partition"' '{"from": ["n1"]}' '{"for": 5000}'`,
    `gantry rig call run '"n1"' '["ip", "addr"]'`,
  ],
  flags: { rig: rigFlag },
  completes: 'none',
  async run({ flags, args, rest, environment }) {
    const [name = '', ...texts] = [...args, ...(rest ?? [])]
    if (!Object.hasOwn(METHODS, name)) {
      const meant = nearest(name, Object.keys(METHODS))
      throw new UsageError(
        name === ''
          ? 'which method?'
          : `there is no method "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
        `methods: ${Object.keys(METHODS).join(', ')}`,
      )
    }
    const method = METHODS[name as Method] as (rig: Rig, ...args: JsonValue[]) => Promise<unknown>
    const parameters = texts.map(parse)
    const called = await answer(async () => {
      const rig = await Rig.open(await chooseRig(flags.rig, environment.env), { signal: environment.signal })
      try {
        return await method(rig, ...parameters)
      } finally {
        rig.close()
      }
    })
    environment.stdout.write(`${JSON.stringify(called)}\n`)
    return 'value' in called ? EXIT.ok : EXIT.refused
  },
})

async function answer(call: () => Promise<unknown>): Promise<Called> {
  try {
    return { value: (await call()) ?? null }
  } catch (thrown) {
    const { code, message, details } = GantryError.from(thrown)
    return { error: { code, message, details } }
  }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch (thrown) {
    throw new UsageError(
      `a parameter is not JSON: ${(thrown as Error).message}`,
      'texts stand in double quotes, within single ones for the shell',
    )
  }
}
