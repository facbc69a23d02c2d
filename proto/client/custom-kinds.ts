/**
 * The kinds that CustomResourceDefinitions of a cluster define: learned from the server when a command meets a word
 * that it does not know.
 */
import { GantryError } from '../base/errors.ts'
import type { KnownKinds } from '../schema/kind-registry.ts'
import { UNDEFINED_KIND } from '../schema/kinds.ts'
import type { Kind } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'
import { readinessOf } from './kinds/registry.ts'
import { observe } from './follow.ts'
import { withDeadline } from '../base/deadline.ts'

/** Milliseconds that a definition is given to be established. */
const ESTABLISHED_MS = 30_000

/** Every kind that the cluster's definitions define: from then on its client knows them. */
export async function learnKinds(cluster: ClusterClient): Promise<void> {
  const { items } = await cluster.list('CustomResourceDefinition', { namespace: '' })
  for (const definition of items) {
    const kind = cluster.kinds.kindOf(definition)
    if (kind !== undefined) cluster.kinds.set(kind)
  }
}

/** The kind that a definition defines, if it is known. */
export function kindDefinedBy(definition: string, known: KnownKinds): Kind | undefined {
  return known.custom().find(({ resource: { plural, group } }) => `${plural}.${group}` === definition)?.id
}

/** True of an error about a kind that is not known and that a definition may define. */
export function isUnknownKind(thrown: unknown): boolean {
  return (
    GantryError.is(thrown, 'InvalidArgument', 'Unsupported') &&
    thrown.details.some(({ field, reason }) => reason === UNDEFINED_KIND && /(^|\.)(kind|apiVersion)$/.test(field))
  )
}

/**
 * Resolves when the definitions are established: objects of their kinds can be made. FailedPrecondition if their names
 * are taken; DeadlineExceeded.
 */
export async function awaitEstablished(cluster: ClusterClient, names: readonly string[]): Promise<void> {
  const waiting = new Set(names)
  const missing = (): string => `not established after ${ESTABLISHED_MS / 1000} s: ${[...waiting].join(', ')}`
  await withDeadline(cluster.clock, ESTABLISHED_MS, cluster.signal, missing, async (limited) => {
    await Promise.all(
      names.map(async (name) => {
        for await (const definition of observe(cluster, cluster.clock, 'CustomResourceDefinition', '', name, limited)) {
          if (definition === undefined) continue
          const readiness = readinessOf(definition)
          if (readiness.is === 'failed') throw new GantryError('FailedPrecondition', readiness.text)
          if (readiness.is === 'ready') return void waiting.delete(name)
        }
      }),
    )
  })
}
