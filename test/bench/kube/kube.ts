/**
 * The Kubernetes API of a controller with 1,000 pods, in JSON and in protobuf: how long requests take, how many go, how
 * soon watchers are told, what they weigh. What is to be reached is what a kube-apiserver does on the same kind of
 * machine, or better.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import { run } from '../../../proto/base/command.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import { envelopeHead } from '../../../controller/kube/envelope.ts'
import type { Figure } from '../figures.ts'
import { pss } from '../memory.ts'
import { BenchController } from './controller.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const POD_COUNT = 1_000
const LISTED = 500
/** Seconds after which a controller that has nothing to do has collected its garbage. */
const SETTLING = 25

export async function kubeFigures(): Promise<Figure[]> {
  const controller = await BenchController.start(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [])
  let figures: Figure[]
  try {
    figures = await measure(controller)
  } finally {
    await controller.stop()
  }
  return [...figures, await idleFigure(1_000, 'token'), await idleFigure(2_000, 'certificate')]
}

async function measure(controller: BenchController): Promise<Figure[]> {
  const figures: Figure[] = []
  await controller.send('POST', '/api/v1/namespaces', { metadata: { name: 'one' } })
  await controller.send('POST', '/api/v1/namespaces', { metadata: { name: 'other' } })
  await controller.send('POST', '/api/v1/namespaces', { metadata: { name: 'new' } })
  await controller.send('POST', '/api/v1/namespaces/one/pods', pod('single'))
  for (let from = 0; from < POD_COUNT; from += 50)
    await Promise.all(Array.from({ length: 50 }, (_, index) => fill(controller, `pod-${from + index}`)))
  const sequence = async (name: string, target: string, task: object): Promise<void> => {
    figures.push({
      name,
      unit: 'ms',
      target,
      samples: (await controller.load({ is: 'sequence', ...task })).milliseconds!,
    })
  }
  const json = { headers: { Accept: 'application/json' } }
  const protobuf = { headers: { Accept: PROTOBUF } }
  const one = { path: '/api/v1/namespaces/default/pods/pod-7' }
  const list = { path: `/api/v1/namespaces/default/pods?limit=${LISTED}` }
  const made = { method: 'POST', path: '/api/v1/namespaces/new/pods' }
  const jsonBody = {
    headers: { ...json.headers, 'Content-Type': 'application/json' },
    body: { text: JSON.stringify(pod('made-#')) },
  }
  // The server chooses the name: bytes cannot be filled in.
  const protobufBody = {
    headers: { ...protobuf.headers, 'Content-Type': PROTOBUF },
    body: {
      base64: enveloped({ ...pod(''), metadata: { generateName: 'made-', labels: { app: 'bench' } } }).toString(
        'base64',
      ),
    },
  }
  await sequence('GET pod, JSON', 'p50 ≤ 0.8', { ...one, ...json, count: 1_000 })
  await sequence('GET pod, protobuf', 'p50 ≤ 0.8', { ...one, ...protobuf, count: 1_000 })
  await sequence(`LIST ${LISTED}, JSON`, 'p50 ≤ 8', { ...list, ...json, count: 100 })
  await sequence(`LIST ${LISTED}, protobuf`, 'p50 ≤ 4', { ...list, ...protobuf, count: 100 })
  await sequence('POST pod, JSON', 'p50 ≤ 2.2', { ...made, ...jsonBody, prefix: 'a', count: 300 })
  await sequence('POST pod, protobuf', 'p50 ≤ 2.2', { ...made, ...protobufBody, count: 300 })
  await withAdmission(controller, () =>
    sequence('POST pod, JSON, a policy in force', 'p50 ≤ 2.5', { ...made, ...jsonBody, prefix: 'c', count: 300 }),
  )
  for (const [name, target, task] of [
    ['GET, 8 workers', '≥ 3,000', { ...one, ...json }],
    ['GET, 8 workers, protobuf', '≥ 3,000', { ...one, ...protobuf }],
    ['POST, 8 workers', '≥ 1,300', { ...made, ...jsonBody, prefix: 'b' }],
    ['POST, 8 workers, protobuf', '≥ 1,300', { ...made, ...protobufBody }],
  ] as const) {
    const { count, seconds } = await controller.load({ is: 'workers', workers: 8, seconds: 3, ...task })
    figures.push({ name, unit: '/s', target, samples: [count! / seconds!] })
  }
  figures.push(...(await floorFigures(controller, one.path)))
  await controller.send('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'watched' } })
  const change = {
    method: 'PATCH',
    path: '/api/v1/namespaces/default/configmaps/watched',
    body: { text: '{"data":{"value":"#"}}' },
  }
  for (const [name, headers] of [
    ['JSON', json.headers],
    ['protobuf', protobuf.headers],
  ] as const) {
    const watch =
      '/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan'
    const { milliseconds } = await controller.load({
      is: 'told',
      watchers: 200,
      watch,
      changes: 20,
      ...change,
      headers: { ...headers, 'Content-Type': 'application/merge-patch+json' },
    })
    figures.push({
      name: `200 watchers told, ${name}`,
      unit: 'ms',
      target: 'p99 ≤ 50',
      samples: milliseconds!,
      note: 'from the write',
    })
  }
  figures.push({
    name: 'floor of kubectl',
    unit: 'ms',
    samples: await kubectlTimes(controller, ['version', '--client'], 15),
    note: 'kubectl version --client',
  })
  for (const [namespace, count, target] of [
    ['one', 1, '≤ 55'],
    ['default', POD_COUNT, ''],
    ['other', LISTED, '≤ 105'],
  ] as const) {
    if (namespace === 'other')
      for (let from = 0; from < LISTED; from += 50)
        await Promise.all(Array.from({ length: 50 }, (_, index) => fill(controller, `pod-${from + index}`, namespace)))
    figures.push({
      name: `kubectl get pods, ${count}`,
      unit: 'ms',
      target,
      samples: await kubectlTimes(controller, ['get', 'pods', '-n', namespace], 15),
    })
  }
  return figures
}

/** The same requests to a server that does nothing for them. */
async function floorFigures(controller: BenchController, path: string): Promise<Figure[]> {
  const { text } = await controller.ask('GET', path)
  const floor = await controller.floor(Buffer.byteLength(text))
  const note = 'a bare Node.js server, the same bytes'
  try {
    const { milliseconds } = await controller.load({ is: 'sequence', port: floor.port, path, count: 1_000 })
    const { count, seconds } = await controller.load({ is: 'workers', port: floor.port, path, workers: 8, seconds: 3 })
    return [
      { name: 'floor of GET', unit: 'ms', samples: milliseconds!, note },
      { name: 'floor of GET, 8 workers', unit: '/s', samples: [count! / seconds!], note },
    ]
  } finally {
    await floor.stop()
  }
}

/**
 * While a policy holds for pods, and a webhook is asked about something else. Without any configuration admission asks
 * nobody: that is the figure for POST.
 */
async function withAdmission(controller: BenchController, measured: () => Promise<void>): Promise<void> {
  const group = { path: '/apis/admissionregistration.k8s.io/v1', apiVersion: 'admissionregistration.k8s.io/v1' }
  const rule = (resource: string): JsonObject => ({
    operations: ['CREATE'],
    apiGroups: [''],
    apiVersions: ['v1'],
    resources: [resource],
  })
  const objects: [plural: string, kind: string, content: JsonObject][] = [
    [
      'validatingadmissionpolicies',
      'ValidatingAdmissionPolicy',
      {
        spec: {
          matchConstraints: { resourceRules: [rule('pods')] },
          validations: [
            {
              expression: "object.spec.containers.all(container, container.image.startsWith('registry.example.com/'))",
            },
          ],
        },
      },
    ],
    [
      'validatingadmissionpolicybindings',
      'ValidatingAdmissionPolicyBinding',
      { spec: { policyName: 'bench', validationActions: ['Deny'] } },
    ],
    [
      'validatingwebhookconfigurations',
      'ValidatingWebhookConfiguration',
      {
        webhooks: [
          {
            name: 'elsewhere.bench.example.com',
            clientConfig: { url: 'https://127.0.0.1:1' },
            rules: [rule('services')],
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
          },
        ],
      },
    ],
  ]
  for (const [plural, kind, content] of objects) {
    const status = await controller.send('POST', `${group.path}/${plural}`, {
      apiVersion: group.apiVersion,
      kind,
      metadata: { name: 'bench' },
      ...content,
    })
    if (status !== 201) throw new Error(`cannot make the ${kind}: ${status}`)
  }
  await measured()
  for (const [plural] of objects) await controller.send('DELETE', `${group.path}/${plural}/bench`)
}

/**
 * MB that so many watches add, which are told of nothing: to a controller that has done nothing else, once it has
 * collected the garbage of their beginning. An account may have 1,000 watches at most; an administrator's certificate
 * any number.
 */
async function idleFigure(watchers: number, credentials: 'token' | 'certificate'): Promise<Figure> {
  const controller = await BenchController.start()
  try {
    const token = async (): Promise<object> => {
      const accounts = '/api/v1/namespaces/default/serviceaccounts'
      await controller.ask('POST', accounts, {
        metadata: { name: 'watcher', annotations: { 'gantry.dev/access': 'view' } },
      })
      const { text } = await controller.ask('POST', `${accounts}/watcher/token`, { spec: {} })
      return {
        tls: { ca: controller.tls.ca },
        headers: { Authorization: `Bearer ${(JSON.parse(text) as { status: { token: string } }).status.token}` },
      }
    }
    const watch = '/api/v1/namespaces/default/configmaps?watch=true&allowWatchBookmarks=true'
    const task = { is: 'idle', watchers, watch, ...(credentials === 'token' ? await token() : {}) }
    const before = pss(controller.pid)
    const child = await controller.begin(task)
    await new Promise((resolve) => child.stdout!.once('data', resolve))
    let after = Infinity
    for (let second = 0; second < SETTLING; second++) {
      await delay(1_000)
      after = Math.min(after, pss(controller.pid))
    }
    child.stdin!.end()
    await new Promise((resolve) => child.once('close', resolve))
    return {
      name: `${watchers} idle watches`,
      unit: 'MB',
      target: '≤ 100',
      samples: [after - before],
      note: `each on a connection of its own, with a ${credentials}`,
    }
  } finally {
    await controller.stop()
  }
}

/** Milliseconds of kubectl with these arguments, so many times, after two that warm its cache. */
async function kubectlTimes(controller: BenchController, args: readonly string[], count: number): Promise<number[]> {
  const samples: number[] = []
  for (let index = -2; index < count; index++) {
    const began = performance.now()
    await run('kubectl', ['--kubeconfig', controller.kubeconfig, '--cache-dir', controller.folder, ...args], {
      timeout: 30_000,
    })
    if (index >= 0) samples.push(performance.now() - began)
  }
  return samples
}

async function fill(controller: BenchController, name: string, namespace = 'default'): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const created = await controller.send('POST', path, pod(name))
  const written = await controller.send('PATCH', `${path}/${name}/status`, { status: RUNNING })
  if (created !== 201 || written !== 200) throw new Error(`cannot make pod ${name}: ${created}, ${written}`)
}

/** Of the size that pods have. There is no node: the scheduler says so once of each. */
function pod(name: string): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { app: 'bench', 'app.kubernetes.io/part-of': 'bench', tier: 'front' },
      annotations: { 'example.com/checksum': '8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4' },
    },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'registry.example.com/shop/front:1.4.2',
          ports: [{ name: 'http', containerPort: 8080 }],
          env: [
            { name: 'LOG_LEVEL', value: 'info' },
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
          resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
          readinessProbe: { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 5 },
          livenessProbe: { httpGet: { path: '/live', port: 8080 } },
          volumeMounts: [{ name: 'config', mountPath: '/etc/shop' }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'shop' } }],
    },
  }
}

const SINCE = '2026-01-01T00:00:00Z'
const RUNNING = {
  phase: 'Running',
  podIP: '10.244.1.7',
  hostIP: '10.0.0.2',
  startTime: SINCE,
  conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: SINCE,
  })),
  containerStatuses: [
    {
      name: 'main',
      image: 'registry.example.com/shop/front:1.4.2',
      imageID: 'sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9',
      containerID: 'gantry://0a1b2c3d4e5f60718293a4b5c6d7e8f9',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: SINCE } },
    },
  ],
}

function enveloped(object: JsonObject): Buffer {
  const raw = encodeResource(decodeJson('Pod', object))
  return Buffer.concat([envelopeHead('v1', 'Pod', raw.length), raw])
}
