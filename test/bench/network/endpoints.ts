/**
 * EndpointSlices with 10,000 Services and 50,000 pods: how long it takes from a pod's change, as the store tells it,
 * until the slice that shows it is written; on the API core, watch cache and memory store, so that what is measured is
 * the reconciler and the core.
 */
import { EndpointSliceReconciler } from '../../../controller/reconcile/endpointslice/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import type { Operation } from '../../../controller/store/contract.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { decodeResource, encode, encodeResource } from '../../../proto/codec/wire.ts'
import { systemClock as clock } from '../../../proto/base/clock.ts'
import type { AnyResource, Pod } from '../../../proto/gen/types.ts'
import { ControlPlane } from '../../controller/control-plane.ts'
import { reconcileParts } from '../../controller/reconcile-parts.ts'
import { eventually } from '../../eventually.ts'
import type { Figure } from '../figures.ts'

const SERVICES = 10_000
const PODS = 50_000
/** Namespaces that they are in. */
const NAMESPACES = 20
/** Services, and changes of a pod of one of them. */
const CHANGES = 300
/** Pods of the one large Service. */
const LARGE = 1000
const BATCH = 100

const conditions = (ready: boolean): NonNullable<Pod['status']['conditions']> =>
  ['Ready', 'ContainersReady'].map((type) => ({
    type,
    status: ready ? 'True' : 'False',
    lastTransitionTime: formatTime(clock.now()),
  }))

/** As the API would store it, put there without it. */
function stored(draft: object): Operation {
  const kind = (draft as AnyResource).kind
  const object = applyDefaults(decodeResource(kind, encode(kind, draft as never)) as AnyResource)
  const { namespace, name } = object.metadata
  return { kind: 'put', key: objectKey(kind, namespace, name), value: encodeResource(object), expect: { is: 'absent' } }
}

function* objects(): Generator<Operation> {
  for (let index = 0; index < NAMESPACES; index++)
    yield stored({
      kind: 'Namespace',
      metadata: { name: `n${index}`, uid: `n${index}` },
      spec: {},
      status: { phase: 'Active' },
    })
  for (let index = 0; index < SERVICES; index++) {
    const spec = {
      type: 'ClusterIP',
      clusterIP: `10.96.${index >> 8}.${index & 255}`,
      ipFamilies: ['IPv4'],
      selector: index === 0 ? { size: 'large' } : { app: `a${index}` },
      ports: [{ port: 80, targetPort: 8080 }],
    }
    yield stored({
      kind: 'Service',
      metadata: { name: `s${index}`, namespace: `n${index % NAMESPACES}`, uid: `s${index}` },
      spec,
      status: {},
    })
  }
  for (let index = 0; index < PODS; index++) {
    const of = index % SERVICES
    const labels = {
      app: `a${of}`,
      tier: 'all',
      ...(of % NAMESPACES === 0 && index < LARGE * NAMESPACES && { size: 'large' }),
    }
    const ip = `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
    yield stored({
      kind: 'Pod',
      metadata: { name: `p${index}`, namespace: `n${of % NAMESPACES}`, uid: `p${index}`, labels },
      spec: { nodeName: `node${index % 500}`, containers: [{ name: 'c', image: 'i' }] },
      status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: conditions(true) },
    })
  }
}

export async function endpointFigures(): Promise<Figure[]> {
  const plane = await ControlPlane.start()
  const stop = new AbortController()
  try {
    const batch: Operation[] = []
    for (const operation of objects()) {
      batch.push(operation)
      if (batch.length === BATCH) await plane.store.commit(batch.splice(0))
    }
    if (batch.length > 0) await plane.store.commit(batch)
    await plane.reads.current()
    const parts = reconcileParts(plane, { clusterRanges: ['10.64.0.0/10', '10.96.0.0/16'] })
    const begun = performance.now()
    const running = runReconcilers([new EndpointSliceReconciler(parts)], parts, stop.signal)
    const slices = plane.informer.lister('EndpointSlice')
    const expected = SERVICES + Math.ceil(LARGE / 100) - 1
    await eventually(() => slices.list().length >= expected, 300_000)
    const filling = performance.now() - begun
    const small = await changes(plane, (index) => 20 + ((index * 31) % (SERVICES - 20)))
    const large = await changes(plane, (index) => (index % LARGE) * NAMESPACES)
    stop.abort()
    await running
    return [
      { name: `slices of ${SERVICES} Services and ${PODS} pods, from none`, unit: 's', samples: [filling / 1000] },
      {
        name: `pod of a Service with 5: its change in the slice`,
        unit: 'ms',
        samples: small,
        note: `${SERVICES} Services, ${PODS} pods`,
      },
      { name: `pod of a Service with ${LARGE}: its change in the slice`, unit: 'ms', samples: large },
    ]
  } finally {
    stop.abort()
    await plane.stop()
  }
}

/**
 * One pod after the other becomes unready, or ready again: from when the cache shows that to when it shows the slice.
 */
async function changes(plane: ControlPlane, podOf: (index: number) => number): Promise<number[]> {
  const samples: number[] = []
  for (let index = 0; index < CHANGES; index++) {
    const number = podOf(index)
    const name = `p${number}`
    const namespace = `n${(number % SERVICES) % NAMESPACES}`
    const next = plane.informer.lister('Pod').get(namespace, name)?.status.conditions?.[0]?.status !== 'True'
    samples.push(
      await new Promise<number>((resolve, reject) => {
        let seen = 0
        const ends = [
          plane.informer.on('Pod', ({ type, cached: { object } }) => {
            if (type === 'modified' && object.metadata.name === name) seen = performance.now()
          }),
          plane.informer.on('EndpointSlice', ({ cached: { object } }) => {
            if (
              seen === 0 ||
              object.endpoints?.some(
                ({ targetRef, conditions: said }) => targetRef?.name === name && said?.ready === next,
              ) !== true
            )
              return
            for (const end of ends) end()
            resolve(performance.now() - seen)
          }),
        ]
        plane.api
          .mutate('Pod', namespace, name, 'status', (pod) => void (pod.status.conditions = conditions(next)), {
            fieldManager: 'bench',
          })
          .catch(reject)
      }),
    )
  }
  return samples
}
