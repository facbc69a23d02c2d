/** A column of a kind's table. */
import type { Kind, Resources } from '../../gen/types.ts'

/** https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#type */
export type ColumnType = 'string' | 'integer' | 'number' | 'boolean' | 'date'

export interface Column<K extends Kind> {
  /** As Kubernetes has it; a table shows it in capitals. */
  readonly name: string
  /** Of the cell for programs that read a table (default string); a date is shown as an age. */
  readonly type?: ColumnType
  readonly format?: 'name'
  readonly description?: string
  readonly wide?: true
  /** A word of state, which a terminal shows in colour. */
  readonly status?: true
  /**
   * What `cell` says of this object changes as time passes. Of others, and without this, it says the same for as long
   * as the object is the same.
   */
  ages?(object: Resources[K]): boolean
  cell(object: Resources[K], now: number): string
  /** What the cell says with `-o wide`, if that is more. */
  wideCell?(object: Resources[K], now: number): string
  /** What the cell says to clients of Kubernetes, which know words of their own, if that is another. */
  kubernetesCell?(object: Resources[K], now: number): string
}
