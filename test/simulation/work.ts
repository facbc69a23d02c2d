/** What users do to the cluster, carried out. */
import type { ObjectApi } from '../../controller/api/contract.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Container, Deployment, Pod } from '../../proto/gen/types.ts'
import type { AppName, Work } from './actions.ts'
import { COUNTER } from './invariants/writes.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import type { Answer, User } from './user.ts'

const CONTEXT = { fieldManager: 'user' }
const NAMESPACE = 'default'
/** Annotation of pod templates and pods: the app that runs in them. */
export const APP = 'simulation/app'

/** How often each counter was counted up, as far as it is known. */
export type Counts = Map<string, { acknowledged: number; unknown: number }>

export class Worker {
  readonly #cluster: SimulatedCluster
  readonly #user: User
  readonly counts: Counts = new Map()
  /** Uids of pods that were to go without waiting for their nodes. */
  readonly forced = new Set<string>()
  /** A request that should have been refused was not. */
  accepted: string | undefined

  constructor(cluster: SimulatedCluster, user: User) {
    this.#cluster = cluster
    this.#user = user
  }

  async do(work: Work): Promise<void> {
    switch (work.do) {
      case 'deploy':
        return this.#write('create', `deploy ${work.name}`, (api) =>
          api.create(deployment(work.name, work.replicas, work.app, work.secret), CONTEXT),
        )
      case 'scale':
        return this.#change(work.name, `scale ${work.name}`, ({ spec }) => void (spec.replicas = work.replicas))
      case 'roll':
        return this.#change(work.name, `roll ${work.name}`, ({ spec: { template } }) => {
          template.spec.containers = [container(work.app)]
          template.metadata!.annotations = { [APP]: work.app }
        })
      case 'undeploy':
        return this.#write('delete', `undeploy ${work.name}`, (api) =>
          api.delete('Deployment', NAMESPACE, work.name, { propagation: work.propagation }, CONTEXT),
        )
      case 'run':
        return this.#write('create', `run ${work.name}`, (api) =>
          api.create(pod(work.name, work.app, work.once, work.secret), CONTEXT),
        )
      case 'deletePod':
        return this.#deletePod(work.share, work.grace)
      case 'expose':
        return this.#write('create', `expose ${work.name}`, (api) =>
          api.create(
            {
              kind: 'Service',
              metadata: { name: work.name, namespace: NAMESPACE },
              spec: { selector: { app: work.name }, ports: [{ port: 80 }] },
            },
            CONTEXT,
          ),
        )
      case 'hide':
        return this.#write('delete', `hide ${work.name}`, (api) =>
          api.delete('Service', NAMESPACE, work.name, {}, CONTEXT),
        )
      case 'writeSecret':
        return this.#writeSecret(work.name, work.text)
      case 'deleteSecret':
        return this.#write('delete', `delete secret ${work.name}`, (api) =>
          api.delete('Secret', NAMESPACE, work.name, {}, CONTEXT),
        )
      case 'count':
        return this.#count(work.name)
      case 'cordon':
      case 'uncordon':
        return this.#cordon(work.share, work.do === 'cordon')
      case 'drain':
        return this.#drain(work.share)
      case 'deleteNode': {
        const name = this.#node(work.share)
        return this.#write('delete', `delete node ${name}`, (api) => api.delete('Node', '', name, {}, CONTEXT))
      }
      case 'nonsense':
        return this.#nonsense()
      case 'makeNamespace':
        return this.#makeNamespace(work.name)
      case 'deleteNamespace':
        return this.#write('delete', `delete namespace ${work.name}`, (api) =>
          api.delete('Namespace', '', work.name, {}, CONTEXT),
        )
    }
  }

  /** Every node takes pods again. */
  async uncordonAll(): Promise<void> {
    for (const { metadata, spec } of this.#cluster.facts.list('Node'))
      if (spec.unschedulable === true) await this.#setCordon(metadata.name, false)
  }

  async #write(
    verb: 'create' | 'write' | 'delete',
    label: string,
    request: (api: ObjectApi) => ReturnType<ObjectApi['create']>,
  ): Promise<void> {
    await this.#user.write(verb, label, request)
  }

  #change(name: string, label: string, change: (deployment: Deployment) => void): Promise<void> {
    return this.#write('write', label, (api) =>
      api.mutate('Deployment', NAMESPACE, name, '', (found) => change(found), CONTEXT),
    )
  }

  async #deletePod(share: number, grace: number | undefined): Promise<void> {
    const chosen = at(this.#pods(), share)
    if (chosen === undefined) return
    const { namespace, name, uid } = chosen.metadata
    if (grace === 0) this.forced.add(uid)
    await this.#write('delete', `delete pod ${name}`, (api) =>
      api.delete(
        'Pod',
        namespace,
        name,
        { uid, ...(grace === undefined ? {} : { gracePeriodSeconds: grace }) },
        CONTEXT,
      ),
    )
  }

  async #writeSecret(name: string, text: string): Promise<void> {
    const stringData = { text }
    const answer = await this.#user.write('create', `create secret ${name}`, (api) =>
      api.create({ kind: 'Secret', metadata: { name, namespace: NAMESPACE }, stringData }, CONTEXT),
    )
    if (answer.is !== 'refused') return
    await this.#write('write', `write secret ${name}`, (api) =>
      api.mutate(
        'Secret',
        NAMESPACE,
        name,
        '',
        (secret) => void (secret.data = { text: Buffer.from(text).toString('base64') }),
        CONTEXT,
      ),
    )
  }

  async #count(name: string): Promise<void> {
    const known = this.counts.get(name) ?? { acknowledged: 0, unknown: 0 }
    if (!this.counts.has(name)) {
      this.counts.set(name, known)
      await this.#user.write('create', `create counter ${name}`, (api) =>
        api.create(
          { kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE, annotations: { [COUNTER]: '0' } } },
          CONTEXT,
        ),
      )
    }
    // Until it is answered, it may be done.
    known.unknown++
    const answer: Answer<unknown> = await this.#user.write('write', `count ${name}`, (api) =>
      api.mutate(
        'ConfigMap',
        NAMESPACE,
        name,
        '',
        ({ metadata }) =>
          void (metadata.annotations = { [COUNTER]: String(Number(metadata.annotations?.[COUNTER] ?? 0) + 1) }),
        CONTEXT,
      ),
    )
    if (answer.is !== 'unknown') known.unknown--
    if (answer.is === 'done') known.acknowledged++
    await this.#look(name)
  }

  async #look(name: string): Promise<void> {
    const before = this.counts.get(name)?.acknowledged ?? 0
    const answer = await this.#user.ask(`look at ${name}`, async (api) => {
      try {
        return await api.get('ConfigMap', NAMESPACE, name)
      } catch (thrown) {
        if (GantryError.is(thrown, 'NotFound')) return undefined
        throw thrown
      }
    })
    if (answer.is === 'done') this.#cluster.facts.note({ is: 'read', name, object: answer.result, before })
  }

  async #cordon(share: number, unschedulable: boolean): Promise<void> {
    await this.#setCordon(this.#node(share), unschedulable)
  }

  #setCordon(name: string, unschedulable: boolean): Promise<void> {
    return this.#write('write', `${unschedulable ? 'cordon' : 'uncordon'} ${name}`, (api) =>
      api.mutate('Node', '', name, '', ({ spec }) => void (spec.unschedulable = unschedulable), CONTEXT),
    )
  }

  async #drain(share: number): Promise<void> {
    const node = this.#node(share)
    await this.#setCordon(node, true)
    const pods = this.#pods().filter(({ spec }) => spec.nodeName === node)
    await Promise.all(
      pods.map(({ metadata: { namespace, name, uid } }) =>
        this.#write('delete', `evict ${name}`, (api) =>
          api.delete('Pod', namespace, name, { uid, eviction: true }, CONTEXT),
        ),
      ),
    )
  }

  /** What no schema allows is refused whole. */
  async #nonsense(): Promise<void> {
    const spec = { replicas: -1, selector: { matchLabels: { app: 'x' } }, template: { spec: { containers: [] } } }
    const answer = await this.#user.ask('nonsense', (api) =>
      api.create({ kind: 'Deployment', metadata: { name: 'nonsense', namespace: NAMESPACE }, spec }, CONTEXT),
    )
    if (answer.is === 'done') this.accepted = 'a Deployment with -1 replicas and no container'
  }

  async #makeNamespace(name: string): Promise<void> {
    await this.#user.write('create', `create namespace ${name}`, (api) =>
      api.create({ kind: 'Namespace', metadata: { name } }, CONTEXT),
    )
    await this.#write('create', `create in ${name}`, (api) =>
      api.create({ kind: 'ConfigMap', metadata: { name: 'inside', namespace: name } }, CONTEXT),
    )
    await this.#write('create', `run in ${name}`, (api) =>
      api.create({ ...pod('inside', 'steady', false), metadata: { name: 'inside', namespace: name } }, CONTEXT),
    )
  }

  #node(share: number): string {
    return at(this.#cluster.nodes, share)!.name
  }

  #pods(): Pod[] {
    return this.#cluster.facts.list('Pod').sort((a, b) => (a.metadata.uid < b.metadata.uid ? -1 : 1))
  }
}

/** The one at this share of a list. */
export function at<T>(from: readonly T[], share: number): T | undefined {
  return from[Math.floor(share * from.length)]
}

function container(app: AppName, secret?: string): Container {
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    name: 'main',
    image: app,
    command: ['/bin/app', app],
    resources: { requests: { cpu: '200m' } },
    ...(secret === undefined ? {} : { volumeMounts: [{ name: 'secret', mountPath: '/secret' }] }),
  }
}

function podSpec(app: AppName, secret?: string): object {
  return {
    terminationGracePeriodSeconds: 2,
    containers: [container(app, secret)],
    ...(secret === undefined ? {} : { volumes: [{ name: 'secret', secret: { secretName: secret } }] }),
  }
}

function pod(
  name: string,
  app: AppName,
  once: boolean,
  secret?: string,
): { kind: 'Pod'; metadata: { name: string; namespace: string; annotations: Record<string, string> }; spec: object } {
  return {
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, annotations: { [APP]: app } },
    spec: { ...podSpec(app, secret), restartPolicy: once ? 'Never' : 'Always' },
  }
}

function deployment(
  name: string,
  replicas: number,
  app: AppName,
  secret?: string,
): { kind: 'Deployment'; metadata: { name: string; namespace: string }; spec: object } {
  return {
    kind: 'Deployment',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name }, annotations: { [APP]: app } }, spec: podSpec(app, secret) },
    },
  }
}
