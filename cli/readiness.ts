/** How far an object is from being what its spec says: what `rollout status`, `apply --wait` and `run` wait for. */
import type { AnyResource, Deployment, Pod, ReplicaSet } from '../proto/gen/types.ts'
import { kindWord } from './failure.ts'
import { summarizePod } from './output/pod-status.ts'

export type Readiness =
  | { readonly is: 'ready'; readonly text: string }
  | { readonly is: 'waiting'; readonly text: string }
  /** It will not become ready by itself. */
  | { readonly is: 'failed'; readonly text: string }

const waiting = (text: string): Readiness => ({ is: 'waiting', text })
const ready = (text: string): Readiness => ({ is: 'ready', text })

/** A deployment's rollout, in the sentences of `kubectl rollout status`. */
export function rolloutReadiness({ metadata, spec, status }: Deployment): Readiness {
  const { name, generation = 0 } = metadata
  const { observedGeneration = 0, updatedReplicas = 0, replicas = 0, availableReplicas = 0, conditions = [] } = status
  if (observedGeneration < generation) return waiting('Waiting for deployment spec update to be observed...')
  const progressing = conditions.find((condition) => condition.type === 'Progressing')
  if (progressing?.reason === 'ProgressDeadlineExceeded') return { is: 'failed', text: `deployment "${name}" exceeded its progress deadline` }
  const begin = `Waiting for deployment "${name}" rollout to finish: `
  if (updatedReplicas < spec.replicas) return waiting(`${begin}${updatedReplicas} out of ${spec.replicas} new replicas have been updated...`)
  if (replicas > updatedReplicas) return waiting(`${begin}${replicas - updatedReplicas} old replicas are pending termination...`)
  if (availableReplicas < updatedReplicas) return waiting(`${begin}${availableReplicas} of ${updatedReplicas} updated replicas are available...`)
  return ready(`deployment "${name}" successfully rolled out`)
}

function replicaSetReadiness({ metadata, spec, status }: ReplicaSet): Readiness {
  const word = `replicaset.apps/${metadata.name}`
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return waiting(`${word}: not seen yet`)
  const { availableReplicas = 0 } = status
  return availableReplicas < spec.replicas ? waiting(`${word}: ${availableReplicas} of ${spec.replicas} replicas are available`) : ready(`${word} is available`)
}

function podReadiness(pod: Pod): Readiness {
  const word = `pod/${pod.metadata.name}`
  if (pod.status.phase === 'Failed') return { is: 'failed', text: `${word} failed: ${pod.status.message ?? summarizePod(pod).status}` }
  const done = pod.status.phase === 'Succeeded' || pod.status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true
  return done ? ready(`${word} is ready`) : waiting(`${word}: ${summarizePod(pod).status}`)
}

/** Kinds without a state of their own are ready once they exist. */
export function readinessOf(object: AnyResource): Readiness {
  switch (object.kind) {
    case 'Deployment': return rolloutReadiness(object)
    case 'ReplicaSet': return replicaSetReadiness(object)
    case 'Pod': return podReadiness(object)
    case 'Namespace': case 'Node': case 'ConfigMap': case 'Secret': case 'Event': case 'Lease': return ready(`${kindWord(object.kind)}/${object.metadata.name}`)
  }
}
