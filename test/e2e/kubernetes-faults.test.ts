/**
 * Kubernetes' own clients while controllers fail. Some go on all the time and note what they were told; each test is a
 * fault, and what people and pods notice of it; the last looks whether all that was acknowledged is there, once.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import * as k8s from '@kubernetes/client-node'
import type { RigMachine } from '../../deploy/rig/rig-machine.ts'
import { eventually, until } from '../eventually.ts'
import {
  Applier,
  Counter,
  Follower,
  listed,
  Maker,
  TICKETS,
  versionsOf,
  type FollowedKind,
} from './kubectl/looping-clients.ts'
import { awaitOutput, Kubectl } from './kubectl/kubectl.ts'

const CONTROLLERS = [1, 2, 3] as const
type Controller = (typeof CONTROLLERS)[number]

const KUBECTL = '/usr/bin/kubectl'
/** In a pod: asks on and on, by the Service of the API; with a pause, or it takes half of a processor all the time. */
const ASK =
  'while :; do if timeout 5 kubectl get lease counted -o name > /dev/null 2>&1; then echo ok; else echo bad; fi; sleep 0.3; done'

const KINDS: readonly FollowedKind[] = [
  { apiVersion: 'v1', kind: 'Pod', plural: 'pods' },
  { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps' },
  { apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments' },
  { apiVersion: `${TICKETS.group}/${TICKETS.version}`, kind: 'Ticket', plural: TICKETS.plural },
]

function deployment(name: string, container: object, volumes: readonly object[] = []): object {
  const labels = { app: name }
  const spec = {
    terminationGracePeriodSeconds: 0,
    volumes,
    containers: [{ name: 'main', image: 'busybox', ...container }],
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}

/** A program in a pod, out of the node's own files. */
function inside(): object {
  const paths = [KUBECTL, ...(execFileSync('ldd', [KUBECTL], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? [])]
  const volumes = paths.map((path, index) => ({
    name: `file-${index}`,
    hostPath: { path: realpathSync(path), type: 'File' },
  }))
  return deployment(
    'inside',
    {
      command: ['sh', '-c', ASK],
      volumeMounts: paths.map((path, index) => ({ name: `file-${index}`, mountPath: path, readOnly: true })),
    },
    volumes,
  )
}

const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${TICKETS.plural}.${TICKETS.group}` },
  spec: {
    group: TICKETS.group,
    scope: 'Namespaced',
    names: { plural: TICKETS.plural, kind: 'Ticket' },
    versions: [{ name: TICKETS.version, served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
}

/** The tests go on from each other. */
describe('clients of Kubernetes while controllers fail', function () {
  this.timeout(180_000)
  let kubectl: Kubectl
  let at: Record<Controller, Kubectl>
  let configs: Record<Controller, k8s.KubeConfig>
  let followers: Follower[] = []
  let counters: Counter[] = []
  let makers: Maker[] = []
  let appliers: Applier[] = []

  const machine = (controller: Controller): RigMachine => kubectl.cluster.rig.controller(controller)
  const others = (controller: Controller): Controller[] => CONTROLLERS.filter((other) => other !== controller)
  const one = (controllers: readonly Controller[]): Controller => controllers[0]!
  const leader = async (): Promise<Controller> =>
    Number(/\d$/.exec((await kubectl.cluster.rig.client.version()).leader)![0]) as Controller

  /** Of the controllers that Service default/kubernetes leads to. */
  async function endpoints(asked: Controller): Promise<string[]> {
    const { items } = await configs[asked]
      .makeApiClient(k8s.DiscoveryV1Api)
      .listNamespacedEndpointSlice({ namespace: 'default', labelSelector: 'kubernetes.io/service-name=kubernetes' })
    return items.flatMap((slice) => slice.endpoints ?? []).flatMap(({ addresses }) => addresses)
  }

  /** Pods are sent to this controller no more, and go on at another. */
  async function leaves(controller: Controller): Promise<void> {
    const [other] = others(controller)
    await until(
      'its endpoint has left',
      async () => !(await endpoints(other!)).includes(machine(controller).address),
      60_000,
    )
    const answers = async (): Promise<number> =>
      (await at[other!].ok('logs deployment/inside')).match(/^ok$/gm)?.length ?? 0
    const before = await answers()
    await until('the pod is answered', async () => (await answers()) >= before + 3, 60_000)
  }

  async function serves(controller: Controller): Promise<void> {
    // The long wait asks in this process, which takes much less than kubectl does each time.
    await eventually(() => endpoints(controller), 60_000)
    await eventually(async () => assert.equal(await at[controller].ok('get --raw /readyz'), 'ok'), 60_000)
    await until(
      'its endpoint is back',
      async () => (await endpoints(controller)).includes(machine(controller).address),
      60_000,
    )
  }

  before(async () => {
    kubectl = await Kubectl.start('kubernetes-faults', 2, CONTROLLERS.length)
    at = { 1: await kubectl.at(1), 2: await kubectl.at(2), 3: await kubectl.at(3) }
    configs = Object.fromEntries(
      CONTROLLERS.map((controller) => {
        const config = new k8s.KubeConfig()
        config.loadFromFile(at[controller].kubeconfig)
        return [controller, config]
      }),
    ) as typeof configs
    // The pod `inside` reads a Lease with the token of its account.
    await kubectl.ok('annotate serviceaccount default gantry.dev/access=edit')
    await kubectl.apply(
      DEFINITION,
      inside(),
      deployment('talk', { command: ['sh', '-c', 'while echo line; do sleep 0.2; done'] }),
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: 'counted' },
        spec: { leaseTransitions: 0 },
      },
    )
    for (const controller of CONTROLLERS) await eventually(() => at[controller].ok('get tickets'), 30_000)
    for (const name of ['left', 'right'])
      await kubectl.ok(`apply --server-side --field-manager=${name} -f -`, {
        stdin: JSON.stringify({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'applied' },
          data: { [name]: '0' },
        }),
      })
    for (const name of ['inside', 'talk']) await kubectl.ok(`rollout status deployment/${name} --timeout=60s`)
    const all = CONTROLLERS.map((controller) => configs[controller])
    followers = all.flatMap((config) => KINDS.map((kind) => new Follower(config, kind)))
    counters = [new Counter(all, 0), new Counter(all, 1)]
    makers = [new Maker(all, 1, 'one'), new Maker(all, 2, 'two')]
    appliers = [new Applier(all, 2, 'left', 'right'), new Applier(all, 0, 'right', 'left')]
  })

  /** What a test that failed has left: the next begin with three controllers all the same. */
  afterEach(async () => {
    await kubectl.cluster.rig.heal()
  })

  after(async () => {
    await Promise.all([...followers, ...counters, ...makers, ...appliers].map((client) => client.stop()))
    await kubectl?.stop()
  })

  it("the leader's machine is lost: who used it is told, and goes on at another", async () => {
    const lost = await leader()
    const [other] = others(lost)
    const token = (await at[lost].ok('create token default')).trim()
    const watching = at[lost].begin('get configmaps -w')
    const following = at[lost].begin('logs -f deployment/talk --tail=1')
    await Promise.all([awaitOutput(watching, /applied/), awaitOutput(following, /line/)])
    await machine(lost).kill()
    await watching.ended
    assert.notEqual(await following.ended, 0, `a log that was cut off counts as ended: ${following.said()}`)
    assert.match(
      await at[lost].refused('get pods --request-timeout=5s'),
      /^(The connection to the server \S+ was refused|Unable to connect to the server)/m,
    )
    const config = new k8s.KubeConfig()
    await eventually(async () => {
      config.loadFromString(await kubectl.cluster.rig.kubeconfig())
      await config.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace: 'default' })
    }, 60_000)
    assert.ok(!config.getCurrentCluster()!.server.includes(machine(lost).address))
    await leaves(lost)
    const { status } = await configs[other!]
      .makeApiClient(k8s.AuthenticationV1Api)
      .createTokenReview({ body: { spec: { token } } })
    assert.deepEqual([status!.authenticated, status!.user!.username], [true, 'system:serviceaccount:default:default'])
    await machine(lost).start()
    await serves(lost)
  })

  it('a controller is cut off from the others: it says so, and lets go of who watches', async () => {
    const cut = one(others(await leader()))
    const watching = at[cut].begin('get configmaps -w')
    const following = at[cut].begin('logs -f deployment/talk --tail=1')
    await Promise.all([awaitOutput(watching, /applied/), awaitOutput(following, /line/)])
    const partition = await kubectl.cluster.rig.partition(
      [machine(cut).name],
      others(cut).map((other) => machine(other).name),
    )
    await watching.ended
    assert.notEqual(await following.ended, 0, `a log that was cut off counts as ended: ${following.said()}`)
    await assert.rejects(
      configs[cut].makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace: 'default' }),
      (error: k8s.ApiException<string>) =>
        error.code === 503 &&
        /does not reach a majority of the cluster's store/.test(error.body) &&
        error.headers['retry-after'] === '1',
    )
    await leaves(cut)
    await partition.heal()
    await serves(cut)
  })

  it('a controller stands still: pods are sent elsewhere, and it goes on as it was', async () => {
    const still = await leader()
    await machine(still).stop()
    await leaves(still)
    await machine(still).cont()
    await serves(still)
  })

  it('its store stands still and goes on: who wrote meanwhile is not led to write again what is written then', async () => {
    const still = await leader()
    const etcd = machine(still).program('etcd')
    await etcd.stop()
    await leaves(still)
    await etcd.cont()
    await serves(still)
  })

  it('all of them end at once', async () => {
    await Promise.all(CONTROLLERS.map((controller) => machine(controller).program('controller').kill()))
    for (const controller of CONTROLLERS) await serves(controller)
    await kubectl.ok('rollout restart deployment/talk')
    await kubectl.ok('rollout status deployment/talk --timeout=60s')
  })

  it('nothing that was acknowledged is lost, nothing was done twice, and all who follow have what there is', async () => {
    const before = counters.map(({ acknowledged }) => acknowledged)
    await until(
      'everybody goes on',
      () => counters.every(({ acknowledged }, index) => acknowledged > before[index]!),
      60_000,
    )
    await Promise.all([...counters, ...makers, ...appliers].map((client) => client.stop()))

    const count = Number(await kubectl.value('lease/counted', '.spec.leaseTransitions'))
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
    const [acknowledged, unsure] = [
      sum(counters.map((one) => one.acknowledged)),
      sum(counters.map((one) => one.unsure)),
    ]
    assert.ok(
      acknowledged <= count && count <= acknowledged + unsure,
      `${count} are counted, ${acknowledged} were acknowledged, and of ${unsure} it is not known`,
    )
    assert.ok(sum(counters.map(({ conflicts }) => conflicts)) > 0, 'the counters have never met')

    const { items } = await kubectl.json<{ items: { metadata: { labels: { call: string } } }[] }>('get tickets')
    const calls = items.map(({ metadata }) => metadata.labels.call)
    const made = new Set(calls)
    assert.deepEqual(
      calls.filter((call, index) => calls.indexOf(call) !== index),
      [],
      'one call made two objects',
    )
    assert.deepEqual(
      makers.flatMap((maker) => maker.acknowledged).filter((call) => !made.has(call)),
      [],
    )

    const { data } = await kubectl.json<{ data: Record<'left' | 'right', string> }>('get configmap applied')
    for (const [index, name] of (['left', 'right'] as const).entries()) {
      const applier = appliers[index]!
      assert.equal(applier.overwritten, 0)
      assert.ok(
        applier.acknowledged <= Number(data[name]) && Number(data[name]) <= applier.tried,
        `${name}: ${data[name]} is stored, ${applier.acknowledged} was acknowledged`,
      )
    }

    for (const follower of followers) {
      await eventually(
        async () => assert.deepEqual(follower.versions, versionsOf((await listed(configs[1], follower.kind)).items)),
        60_000,
      )
      assert.deepEqual(follower.faults, [])
    }
  })
})
