/** Kinds in the words of people. */
import type { Kind } from '../gen/types.ts'
import { resourceOf } from '../schema/schema.ts'

/** "deployment.apps" or "pod": a kind as commands print it. */
export function kindWord(kind: Kind): string {
  const { group, kind: name } = resourceOf(kind)
  return group === '' ? name.toLowerCase() : `${name.toLowerCase()}.${group}`
}

/** "deployments.apps" or "pods": a kind as errors name it. */
export function pluralWord(kind: Kind): string {
  const { plural, group } = resourceOf(kind)
  return group === '' ? plural : `${plural}.${group}`
}
