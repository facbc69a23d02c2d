import { formatTime } from '../../base/time.ts'
import type { Deployment, JsonObject } from '../../gen/types.ts'
import { findCondition } from '../../objects/conditions.ts'
import type { KindRecord, Patch, Revision } from './kind-record.ts'
import { containerPorts } from './ports.ts'
import { failed, isOutdated, ready, waiting, type Readiness } from './readiness.ts'
import { changeCause, HASH_LABEL, revisionOf, revisionsOf } from './deployment-revisions.ts'

/** Any change of the template is a new revision; this one changes nothing else. */
const RESTARTED = 'gantry.dev/restartedAt'

export const deployment: KindRecord<'Deployment'> = {
  readiness: rolloutReadiness,
  takesTime: true,
  async describe(object, { cluster }) {
    const [{ deploymentEntries }, revisions] = await Promise.all([
      import('../describe/workload.ts'),
      revisionsOf(cluster, object),
    ])
    return deploymentEntries(object, revisions)
  },
  inAll: 5,
  pods: { are: 'made', selector: ({ spec }) => spec.selector },
  podSpec: { path: ['spec', 'template', 'spec'], of: ({ spec }) => spec.template.spec },
  ports: ({ spec }) => containerPorts(spec.template.spec),
  scale: { replicasPath: ['spec', 'replicas'] },
  rollout: {
    revision: revisionOf,
    revisions: async (cluster, object) =>
      (await revisionsOf(cluster, object)).map((replicaSet): Revision => ({
        number: revisionOf(replicaSet),
        cause: changeCause(replicaSet),
        template: replicaSet.spec.template,
        keeper: replicaSet,
      })),
    undo,
    restart: (_object, now) => ({
      type: 'STRATEGIC',
      patch: { spec: { template: { metadata: { annotations: { [RESTARTED]: formatTime(now) } } } } },
    }),
    pause: {
      isPaused: ({ spec }) => spec.paused === true,
      set: (paused) => ({ type: 'STRATEGIC', patch: { spec: { paused } } }),
    },
  },
}

/** In the sentences of `kubectl rollout status`. */
function rolloutReadiness(object: Deployment): Readiness {
  const { metadata, spec, status } = object
  const { name } = metadata
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0, conditions } = status
  if (isOutdated(object, status.observedGeneration))
    return waiting('Waiting for deployment spec update to be observed...')
  const progressing = findCondition(conditions, 'Progressing')
  if (progressing?.reason === 'ProgressDeadlineExceeded')
    return failed(`deployment "${name}" exceeded its progress deadline`)
  const begin = `Waiting for deployment "${name}" rollout to finish: `
  if (updatedReplicas < spec.replicas)
    return waiting(`${begin}${updatedReplicas} out of ${spec.replicas} new replicas have been updated...`)
  if (replicas > updatedReplicas)
    return waiting(`${begin}${replicas - updatedReplicas} old replicas are pending termination...`)
  if (availableReplicas < updatedReplicas)
    return waiting(`${begin}${availableReplicas} of ${updatedReplicas} updated replicas are available...`)
  return ready(`deployment "${name}" successfully rolled out`)
}

/** The template again, without the label by which the reconciler tells its ReplicaSets apart. */
async function undo(_object: Deployment, { keeper }: Revision): Promise<Patch> {
  const { encodeJson } = await import('../../codec/codec.ts')
  const { template } = encodeJson(keeper).spec as { template: { metadata?: { labels?: JsonObject } } & JsonObject }
  const { [HASH_LABEL]: _, ...labels } = template.metadata?.labels ?? {}
  const value: JsonObject = { ...template, metadata: { ...template.metadata, labels } }
  return { type: 'JSON', patch: [{ op: 'replace', path: '/spec/template', value }] }
}
