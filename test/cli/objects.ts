/** Objects for the tests, as the server would hold them. */
import type { JsonObject } from '../../proto/gen/types.ts'

export function pod(
  name: string,
  more: { labels?: JsonObject; node?: string; status?: JsonObject; spec?: JsonObject; metadata?: JsonObject } = {},
): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: more.labels ?? { app: 'web' },
      creationTimestamp: '2026-01-31T11:55:00Z',
      ...more.metadata,
    },
    spec: { containers: [{ name: 'main', image: 'busybox' }], nodeName: more.node ?? 'n1', ...more.spec },
    status: more.status ?? {
      phase: 'Running',
      podIP: '10.1.0.5',
      hostIP: '192.168.0.1',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        {
          name: 'main',
          ready: true,
          restartCount: 0,
          image: 'busybox',
          imageID: 'sha256:1',
          state: { running: { startedAt: '2026-01-31T11:55:01Z' } },
        },
      ],
      timeline: [
        { step: 'accepted', time: '2026-01-31T11:55:00.000000Z' },
        { step: 'scheduled', time: '2026-01-31T11:55:00.004000Z' },
        { step: 'started', time: '2026-01-31T11:55:00.051000Z' },
      ],
    },
  }
}

export function deployment(
  name: string,
  more: { replicas?: number; status?: JsonObject; spec?: JsonObject; metadata?: JsonObject } = {},
): JsonObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name,
      generation: 1,
      uid: `uid-${name}`,
      creationTimestamp: '2026-01-31T10:00:00Z',
      annotations: { 'deployment.kubernetes.io/revision': '2' },
      ...more.metadata,
    },
    spec: {
      replicas: more.replicas ?? 3,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'busybox:2' }] } },
      ...more.spec,
    },
    status: more.status ?? {
      observedGeneration: 1,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      conditions: [{ type: 'Available', status: 'True' }],
    },
  }
}

export function replicaSet(name: string, owner: string, revision: number, image: string, replicas = 0): JsonObject {
  const labels = { app: owner, 'pod-template-hash': name }
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      labels,
      annotations: {
        'deployment.kubernetes.io/revision': String(revision),
        'kubernetes.io/change-cause': `to ${image}`,
      },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name: owner, uid: `uid-${owner}`, controller: true },
      ],
    },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } },
    },
    status: { replicas, readyReplicas: replicas },
  }
}

export function node(name: string): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name }, creationTimestamp: '2026-01-30T12:00:00Z' },
    status: {
      capacity: { cpu: '2', memory: '4Gi', pods: '110' },
      allocatable: { cpu: '2', memory: '4Gi', pods: '110' },
      conditions: [{ type: 'Ready', status: 'True', reason: 'AgentReady', message: 'the agent is connected' }],
      addresses: [{ type: 'InternalIP', address: '192.168.0.1' }],
      nodeInfo: {
        kubeletVersion: 'v0.1.0',
        kernelVersion: '6.12.0',
        osImage: 'Debian',
        containerRuntimeVersion: 'crun://1.21',
      },
    },
  }
}

export function event(
  name: string,
  about: { kind: string; name: string; uid?: string },
  more: JsonObject = {},
): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default' },
    involvedObject: { ...about, namespace: 'default' },
    type: 'Normal',
    reason: 'Started',
    message: 'started container main',
    count: 1,
    firstTimestamp: '2026-01-31T11:59:00Z',
    lastTimestamp: '2026-01-31T11:59:00Z',
    source: { component: 'agent', host: 'n1' },
    ...more,
  }
}
