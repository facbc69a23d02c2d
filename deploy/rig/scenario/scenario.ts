/**
 * A scenario as a value: what a file says, read, checked and complete. Texts in it may hold references
 * (`variables.ts`), which are filled in when a step runs.
 */
import type { Position } from '../../../proto/codec/yaml.ts'
import type { JsonObject, Kind } from '../../../proto/gen/types.ts'
import type { Path } from '../../../proto/base/jsonpath/syntax.ts'
import type { DriverName } from '../contract.ts'
import type { FaultType } from '../faults/contract.ts'
import type { ValueTest } from './expectation.ts'

export interface Scenario {
  readonly name: string
  /** The file's name as it was given, for places in messages. */
  readonly file: string
  /** The machines that it asks for. */
  readonly rig: RigSection
  /** Where objects are that name no namespace; made if it is not there. */
  readonly namespace: string
  /** Image archives and directories that every node gets before the first step: absolute paths, or names. */
  readonly images: readonly string[]
  readonly steps: readonly Step[]
}

/** All but counts undefined: the rig's own defaults. */
export interface RigSection {
  readonly nodes: number
  readonly controllers: number
  readonly driver?: DriverName
  readonly diskBytes?: number
  readonly memoryBytes?: number
  readonly cpus?: number
}

export interface Step {
  /** "3", "3.1": its place among the steps. */
  readonly number: string
  /** What it was named, or what it does. */
  readonly label: string
  readonly position: Position
  /** Milliseconds; undefined: as long as what is in it takes. */
  readonly within: number | undefined
  readonly action: Action
}

export type Action =
  | { readonly is: 'apply'; readonly objects: readonly Manifest[] }
  | { readonly is: 'delete'; readonly objects: ObjectSelection; readonly grace: number | undefined }
  | { readonly is: 'patch'; readonly kind: Kind; readonly name: string; readonly patch: JsonObject }
  | { readonly is: 'scale'; readonly workloads: readonly { readonly workload: string; readonly replicas: number }[] }
  | { readonly is: 'rollout'; readonly verb: RolloutVerb; readonly workload: string }
  | { readonly is: 'until'; readonly conditions: readonly Condition[] }
  | { readonly is: 'check'; readonly conditions: readonly Condition[] }
  /** Without `during`: up to the end of the list that it stands in. */
  | { readonly is: 'always'; readonly conditions: readonly Condition[]; readonly during: readonly Step[] | undefined }
  | { readonly is: 'remember'; readonly values: readonly { readonly name: string; readonly probe: Probe }[] }
  /** A command that is run for what it does; what is expected of it stands in the condition. */
  | { readonly is: 'run'; readonly condition: Condition }
  | { readonly is: 'pause'; readonly millis: number }
  | FaultAction
  /** Undefined: every fault that this scenario began. */
  | { readonly is: 'heal'; readonly which: string | undefined }
  | { readonly is: 'start'; readonly machine: string }
  | { readonly is: 'parallel'; readonly branches: readonly (readonly Step[])[] }
  | { readonly is: 'repeat'; readonly times: number; readonly steps: readonly Step[] }

export interface FaultAction {
  readonly is: 'fault'
  readonly type: FaultType
  /** As written, references not filled in; checked against the machines that are known. */
  readonly given: Readonly<Record<string, unknown>>
  /** What `heal` may call it. */
  readonly name: string | undefined
  /** Milliseconds after which it ends by itself. */
  readonly forMillis: number | undefined
  /** It ends with these. */
  readonly during: readonly Step[] | undefined
}

export const ROLLOUT_VERBS = ['status', 'restart', 'undo', 'pause', 'resume'] as const

export type RolloutVerb = (typeof ROLLOUT_VERBS)[number]

export interface Manifest {
  readonly kind: Kind
  /** Namespace set; metadata.name may hold references. */
  readonly json: JsonObject
}

/** Objects of one kind: one by name, or those that selectors choose (all, without one). */
export interface ObjectSelection {
  readonly kind: Kind
  readonly name: string | undefined
  readonly selector: string | undefined
  readonly fields: string | undefined
  readonly namespace: string
}

/** Where a command is run. */
export type CommandTarget =
  | { readonly is: 'host' }
  | { readonly is: 'machine'; readonly name: string }
  /** "pod/web-1" or a workload, one of whose pods is taken. */
  | { readonly is: 'pod'; readonly object: string }

/** Where to look, and what is seen there. */
export type Probe =
  | { readonly is: 'objects'; readonly objects: ObjectSelection; readonly paths: readonly NamedPath[] }
  /** `command`: words, or the text of a shell. Seen: standard output without the last line's end, and the exit code. */
  | { readonly is: 'command'; readonly place: CommandTarget; readonly command: readonly string[] | string }
  /** Nothing is looked at: the text, references filled in, is what is seen. */
  | { readonly is: 'text'; readonly text: string }
  /** The command line against the rig. */
  | { readonly is: 'gantry'; readonly words: readonly string[] }
  | { readonly is: 'logs'; readonly object: string; readonly container: string | undefined }
  /**
   * GET. From the host or a machine; or to every ready pod with these labels, from its node, the address then being
   * ":PORT/PATH".
   */
  | {
      readonly is: 'http'
      readonly address: string
      readonly from:
        | { readonly is: 'host' }
        | { readonly is: 'machine'; readonly name: string }
        | { readonly is: 'pods'; readonly selector: string }
    }

export interface NamedPath {
  readonly text: string
  readonly path: Path
}

export interface ConditionBase {
  /** For people: "deployment/web is ready". */
  readonly label: string
  /** Milliseconds between looks, where there is nothing to watch. */
  readonly every: number
}

export type Condition = ConditionBase &
  (
    | { readonly is: 'objects'; readonly probe: Probe & { is: 'objects' }; readonly expect: ObjectsExpectation }
    | {
        readonly is: 'output'
        readonly probe: Probe & { is: 'command' | 'gantry' | 'logs' }
        readonly exit: number | undefined
        readonly tests: readonly ValueTest[]
      }
    | {
        readonly is: 'answer'
        readonly probe: Probe & { is: 'http' }
        readonly status: number | undefined
        readonly tests: readonly ValueTest[]
      }
    /** What was remembered under the name still looks the same. */
    | { readonly is: 'unchanged'; readonly name: string }
  )

/** Everything that is given must hold; what is said of single objects, of each. */
export interface ObjectsExpectation {
  /** Undefined: at least one. */
  readonly count: readonly ValueTest[] | undefined
  readonly ready: boolean
  readonly condition: { readonly type: string; readonly status: string } | undefined
  /** Of what the probe's paths find. */
  readonly tests: readonly ValueTest[]
}
