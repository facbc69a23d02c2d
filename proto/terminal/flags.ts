/** Flags as typed data. */
export interface Flag {
  readonly type: 'boolean' | 'text' | 'list' | 'integer' | 'duration'
  readonly help: string
  /** One letter. */
  readonly short?: string
  /** What stands for the value in help. */
  readonly value?: string
  readonly choices?: readonly string[]
  /** What the flag means when it stands alone; a value then follows `=` only. */
  readonly bare?: string
  readonly default?: string | number | boolean
  /** Lists: commas separate too. */
  readonly commas?: boolean
  /** What completion offers for the value. */
  readonly completes?: 'namespace' | 'context' | 'file' | 'container' | 'rig'
}

export type Flags = Readonly<Record<string, Flag>>

type Parsed<F extends Flag> = F['type'] extends 'boolean'
  ? boolean
  : F['type'] extends 'list'
    ? string[]
    : F['type'] extends 'text'
      ? string
      : number
type Value<F extends Flag> = F['type'] extends 'boolean' | 'list'
  ? Parsed<F>
  : F extends { default: string | number | boolean }
    ? Parsed<F>
    : Parsed<F> | undefined

/** Values by flag name, dashes as in the flag: `flags['dry-run']`. */
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: Value<F[K]> }
