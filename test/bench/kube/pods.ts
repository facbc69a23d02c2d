/** The pods that the benches of the API work on. */
import { envelopeHead } from '../../../controller/kube/envelope.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import type { JsonObject, PodStatus } from '../../../proto/gen/types.ts'
import type { BenchController } from './controller.ts'

export const PROTOBUF = 'application/vnd.kubernetes.protobuf'

/** Makes so many running pods, fifty at a time. */
export async function fillNamespace(controller: BenchController, namespace: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 50)
    await Promise.all(
      Array.from({ length: Math.min(50, count - from) }, (_, index) =>
        makeRunning(controller, namespace, `pod-${from + index}`),
      ),
    )
}

async function makeRunning(controller: BenchController, namespace: string, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const created = await controller.send('POST', path, pod(name))
  const written = await controller.send('PATCH', `${path}/${name}/status`, { status: RUNNING })
  if (created !== 201 || written !== 200) throw new Error(`cannot make pod ${name}: ${created}, ${written}`)
}

/** Of the size that pods have. */
export function pod(name: string): JsonObject {
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
/** What a node says of such a pod. */
export const RUNNING = {
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
} satisfies PodStatus

/** A pod as clients of protobuf send it. */
export function enveloped(object: JsonObject): Buffer {
  const raw = encodeResource(decodeJson('Pod', object))
  return Buffer.concat([envelopeHead('v1', 'Pod', raw.length), raw])
}
