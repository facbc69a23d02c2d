/**
 * Faults as values. A *fault type* says what a kind of fault needs (its parameters, from which the command line, the
 * scenario's step and the help are made), how it begins and how it ends. Beginning gives back what ending needs, in
 * JSON: another process may be the one that ends it.
 *
 *   command, step or method ──▶ parameters ──▶ FaultType.begin ──▶ record in the rig ──▶ (--for, heal, down) ──▶
 * FaultType.end
 */
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { ProcessIdentity } from '../../../proto/base/process.ts'
import type { Driver, Machine } from '../contract.ts'

/**
 * What a parameter is, and so how text is read: durations in milliseconds ("10s", "250ms"), rates in bytes a second
 * ("1Mi"), sizes in bytes ("64Mi"), shares from 0 to 1 ("5%").
 */
export type ParameterType =
  /** One machine: "n2". */
  | 'machine'
  /** One or several: "n1,n2", or a list in YAML; "nodes", "controllers" and "all" stand for groups. */
  | 'machines'
  /**
   * A machine, or a program on it: "n2", "n2/agent", "controller/etcd", "n1/shim:POD" (the shim of a container of that
   * pod).
   */
  | 'target'
  | 'duration'
  | 'rate'
  | 'size'
  | 'share'
  | 'count'
  | 'boolean'
  /** One of `choices`. */
  | 'choice'
  /** As it stands, not empty: a name in DNS, an address. */
  | 'text'

export interface Parameter {
  readonly type: ParameterType
  /** For people; begins small, ends without a stop. */
  readonly says: string
  readonly required?: boolean
  readonly choices?: readonly string[]
  /** Place among the operands on the command line, from 0; those without are flags. */
  readonly operand?: number
  /** Durations only: may be negative ("-1h"). */
  readonly signed?: boolean
  /** `machines` only: "host", the host of the rig, may be named among them. */
  readonly host?: boolean
}

export type Parameters = Readonly<Record<string, Parameter>>

type ValueOf<P extends Parameter> = P['type'] extends 'machines'
  ? readonly string[]
  : P['type'] extends 'machine' | 'target' | 'choice' | 'text'
    ? string
    : P['type'] extends 'boolean'
      ? boolean
      : number

/** Values by parameter, checked: machines exist, choices are among the choices. */
export type Values<P extends Parameters> = {
  readonly [K in keyof P]: P[K] extends { required: true } ? ValueOf<P[K]> : ValueOf<P[K]> | undefined
}

/** Where faults happen. */
export interface FaultContext {
  readonly rig: string
  readonly driver: Driver
  readonly machines: readonly Machine[]
  /** NotFound, with the nearest name, if the rig has none of that name. */
  machine(name: string): Machine
  readonly clock: Clock
  /**
   * The other faults in force; the one that begins or ends is not among them. What one of them still wants stays so
   * when this one ends.
   */
  readonly others: readonly FaultRecord[]
  /** Starts a machine that is off, and makes the faults in force that lived on it so again. No error if it runs. */
  start(machine: Machine): Promise<void>
  /** Ends others in force. */
  heal(ids: readonly string[]): Promise<void>
}

/** A fault that is about to begin. */
export interface BeginContext {
  /** Of the fault, unique in the rig: "f3". For names of what it makes. */
  readonly id: string
  /**
   * Milliseconds that it is to last; undefined: until healed. Where that decides whether it lasts at all (a program
   * killed).
   */
  readonly for: number | undefined
  /**
   * Writes down what `end` needs so far. Before anything is made that would be left if this process ended in the midst:
   * what was not written down is not undone. A begin that fails after it is undone by `end` with the latest.
   */
  record(undo: JsonValue): Promise<void>
}

/** What `begin` gives. */
export interface BeginResult {
  /** What `end` needs; undefined: the fault was over as soon as it was done (a process killed), and cannot last. */
  readonly undo: JsonValue | undefined
  /**
   * How it is done, where that matters: "by the kernel (nftables)", "by a proxy on the control plane's connections;
   * pods' own are not delayed".
   */
  readonly note?: string
}

export interface FaultType<P extends Parameters = Parameters> {
  /** The word for it on the command line and in scenarios: "partition". */
  readonly kind: string
  /** One line: what happens. */
  readonly says: string
  readonly parameters: P
  readonly examples: readonly string[]
  /** Over as soon as it is done, whatever the values: it takes no --for. */
  readonly momentary?: boolean
  /** In force until it is ended: "n1 cut off from n2, n3". */
  describe(values: Values<P>): string
  /**
   * Makes it so, wholly or not at all. InvalidArgument for values that do not go together; FailedPrecondition, with the
   * reason, for what the driver cannot do.
   */
  begin(field: FaultContext, values: Values<P>, beginning: BeginContext): Promise<BeginResult>
  /**
   * Undoes it, wholly begun or not. Machines that have ended or were removed meanwhile are no error; several faults of
   * a kind at once end one by one.
   */
  end(field: FaultContext, undo: JsonValue, values: Values<P>): Promise<void>
  /**
   * Makes it so again after a machine of the rig was started again, with empty namespaces and none of its processes of
   * before; what `end` then needs. Undefined: what it was done to is gone, and with it the fault. A type without it is
   * not touched by that.
   */
  renew?(field: FaultContext, undo: JsonValue, values: Values<P>, machine: Machine): Promise<JsonValue | undefined>
}

/** Keeps the parameters' types for begin() and describe(). */
export function defineFault<const P extends Parameters>(type: FaultType<P>): FaultType {
  return type as unknown as FaultType
}

/** A fault that was begun, as kept in the rig's record. */
export interface FaultRecord {
  /** Unique in the rig, short, for `heal`: "f3". */
  readonly id: string
  readonly kind: string
  readonly values: Readonly<Record<string, JsonValue>>
  readonly description: string
  readonly note?: string
  /** RFC 3339. */
  readonly begun: string
  /** When it ends by itself, or has ended. */
  readonly until?: string
  readonly ended?: string
  readonly undo?: JsonValue
  /**
   * The process that begins it, until it is wholly in force. If that process has ended, it was broken off, and `heal`
   * undoes what was done.
   */
  readonly beginning?: ProcessIdentity
  /** What ends it at `until`. */
  readonly timer?: ProcessIdentity
  /** Why the last try to end it failed: it is still in force. */
  readonly problem?: string
}
