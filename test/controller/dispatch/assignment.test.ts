import assert from 'node:assert/strict'
import fc from 'fast-check'
import { AssignmentStream } from '../../../controller/dispatch/assignment.ts'
import type { CachedObject, Informer } from '../../../controller/informer/contract.ts'
import { KindCache } from '../../../controller/informer/kind-cache.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import type { Kind, ObjectBytes, ObjectRef, Resources } from '../../../proto/gen/types.ts'

const NODES = ['n1', 'n2']
const NAMES = ['a', 'b', 'c']
type Used = 'ConfigMap' | 'Secret'

/** A cache of pods and of what they use, and what has changed in it since it was asked. */
class World {
  readonly pods = new KindCache<'Pod'>({ node: { field: 'spec.nodeName', keys: ({ spec }) => [spec.nodeName ?? ''] } })
  readonly configs = { ConfigMap: new KindCache<'ConfigMap'>(), Secret: new KindCache<'Secret'>() }
  readonly informer = {
    lister: (kind: 'Pod' | Used) => (kind === 'Pod' ? this.pods : this.configs[kind]),
  } as unknown as Informer
  #revision = 0
  #changed: Set<string> | undefined = new Set()

  /** What a session is told of the changes since the last call. */
  takeChanged(): Set<string> | undefined {
    const changed = this.#changed
    this.#changed = new Set()
    return changed
  }

  setPod(
    name: string,
    pod: { uid: string; node: string | undefined; uses: readonly string[]; generation: number },
  ): void {
    const { uid, node, uses, generation } = pod
    const volumes = uses.map((used) => ({ name: used, configMap: { name: used } }))
    const imagePullSecrets = uses.slice(1).map((used) => ({ name: used }))
    const object = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', name, uid, generation },
      spec: { containers: [], volumes, imagePullSecrets, ...(node !== undefined && { nodeName: node }) },
      status: {},
    }
    this.pods.set(this.#cached<'Pod'>(object))
    this.#changed?.add(`default/${name}`)
  }

  deletePod(name: string): void {
    this.pods.delete('default', name)
    this.#changed?.add(`default/${name}`)
  }

  setConfig(kind: Used, name: string): void {
    const object = { apiVersion: 'v1', kind, metadata: { namespace: 'default', name, uid: name } }
    if (kind === 'Secret') this.configs.Secret.set(this.#cached<'Secret'>(object))
    else this.configs.ConfigMap.set(this.#cached<'ConfigMap'>(object))
    this.#changed = undefined
  }

  deleteConfig(kind: Used, name: string): void {
    this.configs[kind].delete('default', name)
    this.#changed = undefined
  }

  #cached<K extends Kind>(object: object): CachedObject<K> {
    const made = object as Resources[K]
    return { object: made, revision: ++this.#revision, bytes: encodeResource(made) }
  }

  /** What the node is to have, from the beginning: "Kind/name" with what tells two states of it apart. */
  wanted(node: string): Map<string, string> {
    const wanted = new Map<string, string>()
    for (const { object, revision } of this.pods.cachedList()) {
      if (object.spec.nodeName !== node) continue
      wanted.set(`Pod/${object.metadata.name}`, String(revision))
      const configMaps = (object.spec.volumes ?? []).map((volume) => ['ConfigMap', volume.configMap!.name] as const)
      const secrets = (object.spec.imagePullSecrets ?? []).map((one) => ['Secret', one.name] as const)
      for (const [kind, name] of [...configMaps, ...secrets]) {
        const cached = this.configs[kind].cached('default', name!)
        if (cached !== undefined) wanted.set(`${kind}/${name}`, String(cached.revision))
      }
    }
    return wanted
  }
}

const podChange = fc.record({
  name: fc.constantFrom(...NAMES),
  uid: fc.constantFrom('u1', 'u2'),
  node: fc.constantFrom(...NODES, undefined),
  uses: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 }),
})
const config = fc.record({
  kind: fc.constantFrom<Used>('ConfigMap', 'Secret'),
  name: fc.constantFrom(...NAMES),
  there: fc.boolean(),
})
const step = fc.oneof(
  podChange.map((pod) => ({ is: 'pod' as const, pod })),
  fc.constantFrom(...NAMES).map((name) => ({ is: 'gone' as const, name })),
  config.map((change) => ({ is: 'config' as const, change })),
  fc.constant({ is: 'told' as const }),
)

describe('assignments', () => {
  it('told change by change are what telling everything would be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const world = new World()
        const stream = new AssignmentStream(world.informer, 'n1', undefined)
        const node = new Map<string, string>()
        let generation = 0
        const tell = (): void => {
          const { set = [], removed = [] } = stream.next(world.takeChanged())?.message ?? {}
          for (const { kind, name } of removed as ObjectRef[])
            assert(node.delete(`${kind}/${name}`), `the node has the ${kind} ${name} that is taken from it`)
          for (const { kind, raw } of set as ObjectBytes[]) {
            const { metadata } = decodeResource(kind as Kind, raw)
            const before = node.get(`${kind}/${metadata.name}`)
            assert.notEqual(before, metadata.resourceVersion, `the ${kind} ${metadata.name} is news`)
            node.set(`${kind}/${metadata.name}`, metadata.resourceVersion!)
          }
          assert.deepEqual(new Map([...node].sort()), new Map([...world.wanted('n1')].sort()))
        }
        for (const one of [...steps, { is: 'told' as const }]) {
          if (one.is === 'pod') world.setPod(one.pod.name, { ...one.pod, generation: ++generation })
          else if (one.is === 'gone') world.deletePod(one.name)
          else if (one.is === 'told') tell()
          else if (one.change.there) world.setConfig(one.change.kind, one.change.name)
          else world.deleteConfig(one.change.kind, one.change.name)
        }
      }),
    )
  })
})
