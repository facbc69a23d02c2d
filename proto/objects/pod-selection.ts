/**
 * Which pods an object means by its spec.selector: a LabelSelector, or, in the kinds that are older than it (Service,
 * ReplicationController), labels that a pod must all have.
 */
import type { AnyResource, Kind, LabelSelector } from '../gen/types.ts'
import { fieldOf } from '../schema/shape.ts'

const SELECTOR = ['spec', 'selector'] as const

/** Whether objects of the kind say which pods are theirs. */
export function selectsPods(kind: Kind): boolean {
  return selectorForm(kind) !== undefined
}

/** As a LabelSelector whatever the kind's form; undefined for an object that selects nothing. */
export function podSelectorOf(object: AnyResource): LabelSelector | undefined {
  const { selector } = (object as { readonly spec?: { readonly selector?: unknown } }).spec ?? {}
  if (selector === undefined) return undefined
  switch (selectorForm(object.kind)) {
    case 'LabelSelector':
      return selector as LabelSelector
    case 'labels':
      return Object.keys(selector as object).length === 0
        ? undefined
        : { matchLabels: selector as Record<string, string> }
    case undefined:
      return undefined
  }
}

function selectorForm(kind: Kind): 'LabelSelector' | 'labels' | undefined {
  const field = fieldOf(kind, SELECTOR)
  if (field?.type === 'LabelSelector') return 'LabelSelector'
  return field?.label === 'map' && field.type === 'string' ? 'labels' : undefined
}
