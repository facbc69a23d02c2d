/** What `explain` says of one field. */
export interface ExplainedField {
  readonly name: string
  /** "string", "integer", "Quantity", "Container", "[]Container", "map[string]string", … */
  readonly type: string
  /** '' if there is nothing to say. */
  readonly description: string
  readonly required: boolean
  /** Written by the control plane only. */
  readonly readOnly: boolean
  /** Cannot change once the object exists. */
  readonly frozen: boolean
  /** The values allowed; empty if any is. */
  readonly enum: readonly string[]
  readonly default: string | undefined
  /** Kubernetes has it, Gantry refuses it: why, and the values that are accepted nevertheless. */
  readonly unsupported: { readonly reason: string; readonly accepted: readonly string[] } | undefined
  /** Items of a list with the same values of these fields are the same item. */
  readonly mergeKey: readonly string[]
  /** What it consists of; empty for a plain value, and below the first level unless asked for. */
  readonly children: readonly ExplainedField[]
}
