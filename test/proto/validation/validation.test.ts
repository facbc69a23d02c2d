import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { describeProblem } from '../../../proto/base/problem.ts'
import { validate, validateUpdate } from '../../../proto/validation/validation.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import type { AnyResource, JsonObject, Kind, Resources } from '../../../proto/gen/types.ts'

type Json = JsonObject

/**
 * An object as it comes to validation: decoded from bytes, defaults filled in. What decoding itself would refuse can be
 * set by `change`.
 */
function make<K extends Kind>(kind: K, json: Json, change?: (object: Resources[K]) => void): Resources[K] {
  const object: Resources[K] = applyDefaults(
    decodeResource(kind, encodeResource(decodeJson(kind, { metadata: { name: 'x' }, ...json }))),
  )
  change?.(object)
  return object
}

const lines = (object: Resources[Kind]): string[] => validate(object).map(describeProblem)

const pod = (spec: Json): Resources['Pod'] =>
  make('Pod', { spec: { containers: [{ name: 'c', image: 'busybox' }], ...spec } })
const container = (fields: Json, spec: Json = {}): Resources['Pod'] =>
  pod({ containers: [{ name: 'c', image: 'busybox', ...fields }], ...spec })
const deployment = (spec: Json, template: Json = {}): Resources['Deployment'] =>
  make('Deployment', {
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'c', image: 'busybox' }], ...template },
      },
      ...spec,
    },
  })

/** What, the object, the one problem that it has; rarely several. */
type Table = [string, () => Resources[Kind], ...string[]][]

function refuses(table: Table): void {
  for (const [what, object, ...told] of table) {
    it(`refuses ${what}`, () => assert.deepEqual(lines(object()), told))
  }
}

const labelRemedy = 'use lower-case letters, digits and "-", beginning and ending with a letter or digit'

describe('validate', () => {
  it('accepts objects of every kind that use much of what there is', () => {
    const everything = pod({
      initContainers: [
        { name: 'init', image: 'busybox', command: ['true'] },
        {
          name: 'side',
          image: 'busybox',
          restartPolicy: 'Always',
          startupProbe: { exec: { command: ['ready'] } },
          lifecycle: { preStop: { sleep: { seconds: 5 } } },
        },
      ],
      readinessGates: [{ conditionType: 'example.com/balanced' }],
      containers: [
        {
          livenessProbe: {
            httpGet: { port: 'http', path: '/live', httpHeaders: [{ name: 'X-Probe', value: '1' }] },
            terminationGracePeriodSeconds: 5,
          },
          readinessProbe: { grpc: { port: 9000, service: 'shop' }, successThreshold: 2 },
          startupProbe: { tcpSocket: { port: 80 } },
          lifecycle: {
            postStart: { exec: { command: ['warm'] } },
            preStop: { httpGet: { port: 80, scheme: 'HTTPS' } },
            stopSignal: 'SIGRTMIN+3',
          },
          name: 'c',
          image: 'registry:5000/a/b:1@sha256:abc',
          ports: [
            { name: 'http', containerPort: 80 },
            { containerPort: 80, protocol: 'UDP' },
          ],
          envFrom: [{ prefix: 'P_', configMapRef: { name: 'cm' } }, { secretRef: { name: 's', optional: true } }],
          env: [
            { name: 'A', value: 'b' },
            { name: 'B', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
            { name: 'C', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
          ],
          resources: {
            limits: { cpu: '500m', memory: '64Mi', 'example.com/gpu': 1 },
            requests: { cpu: '100m', 'example.com/gpu': 1 },
          },
          volumeMounts: [
            { name: 'v', mountPath: '/v', subPath: 'a/b' },
            { name: 'p', mountPath: '/p', readOnly: true },
          ],
          securityContext: {
            runAsUser: 0,
            capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
            seccompProfile: { type: 'Localhost', localhostProfile: 'a.json' },
          },
        },
      ],
      volumes: [
        { name: 'v', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        {
          name: 'p',
          projected: {
            sources: [
              { secret: { name: 's' } },
              { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
            ],
          },
        },
      ],
      tolerations: [{ operator: 'Exists' }, { key: 'a', value: 'b', effect: 'NoExecute', tolerationSeconds: 5 }],
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: { matchLabels: { app: 'web' } },
        },
      ],
      hostAliases: [{ ip: '10.0.0.1', hostnames: ['a.b'] }],
      securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '1024' }], supplementalGroups: [1, 2] },
    })
    assert.deepEqual(lines(everything), [])
    assert.deepEqual(lines(deployment({ strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: '30%' } } })), [])
    assert.deepEqual(lines(deployment({ strategy: { type: 'Recreate' } })), [])
    for (const kind of ['Namespace', 'ConfigMap', 'Secret', 'Node', 'Lease', 'Event'] as const)
      assert.deepEqual(lines(make(kind, {})), [], kind)
  })

  describe('probes and hooks', () => {
    const tcp = { tcpSocket: { port: 80 } }
    const init = (fields: Json): Resources['Pod'] =>
      pod({ initContainers: [{ name: 'i', image: 'busybox', ...fields }] })
    refuses([
      [
        'a probe without a check',
        () => container({ livenessProbe: { periodSeconds: 5 } }),
        'spec.containers[0].livenessProbe: is required (give one of exec, httpGet, tcpSocket, grpc)',
      ],
      [
        'a probe with two',
        () => container({ livenessProbe: { ...tcp, exec: { command: ['true'] } } }),
        'spec.containers[0].livenessProbe.tcpSocket: cannot stand beside exec, only one is allowed (keep one)',
      ],
      [
        'a liveness probe that needs two successes',
        () => container({ livenessProbe: { ...tcp, successThreshold: 2 } }),
        'spec.containers[0].livenessProbe.successThreshold: 2 must be 1 (leave it out; only a readinessProbe may need more)',
      ],
      [
        'a startup probe that needs two successes',
        () => container({ startupProbe: { ...tcp, successThreshold: 2 } }),
        'spec.containers[0].startupProbe.successThreshold: 2 must be 1 (leave it out; only a readinessProbe may need more)',
      ],
      [
        'a grace of a readiness probe',
        () => container({ readinessProbe: { ...tcp, terminationGracePeriodSeconds: 5 } }),
        'spec.containers[0].readinessProbe.terminationGracePeriodSeconds: 5 is not for a readinessProbe, which ends nothing (leave it out)',
      ],
      [
        'a port out of range',
        () => container({ livenessProbe: { tcpSocket: { port: 70_000 } } }),
        'spec.containers[0].livenessProbe.tcpSocket.port: 70000 is out of range (give a number from 1 to 65535)',
      ],
      [
        'a command of nothing',
        () => container({ livenessProbe: { exec: {} } }),
        'spec.containers[0].livenessProbe.exec.command: is required (give a program and its arguments)',
      ],
      [
        'a host that is a URL',
        () => container({ livenessProbe: { httpGet: { port: 80, host: 'http://web/' } } }),
        'spec.containers[0].livenessProbe.httpGet.host: "http://web/" is not the name or address of a host (write only the host; path and port have fields of their own)',
      ],
      [
        'a hook without an action',
        () => container({ lifecycle: { preStop: {} } }),
        'spec.containers[0].lifecycle.preStop: is required (give one of exec, httpGet, sleep)',
      ],
      [
        'a hook that sleeps longer than the grace',
        () => container({ lifecycle: { preStop: { sleep: { seconds: 31 } } } }),
        'spec.containers[0].lifecycle.preStop.sleep: 31 is more than terminationGracePeriodSeconds, 30 (shorten it, or give the pod more grace)',
      ],
      [
        'a probe of an init container',
        () => init({ readinessProbe: tcp }),
        'spec.initContainers[0].readinessProbe: is not for init containers that end (leave it out, or say restartPolicy: Always for one that runs beside the others)',
      ],
      [
        'hooks of an init container',
        () => init({ lifecycle: { postStart: { sleep: { seconds: 1 } } } }),
        'spec.initContainers[0].lifecycle: is not for init containers that end (leave it out, or say restartPolicy: Always for one that runs beside the others)',
      ],
      [
        'a restart policy of a container',
        () => container({ restartPolicy: 'Always' }),
        'spec.containers[0].restartPolicy: is for init containers only (say it of the pod, or make it an init container to run beside the others)',
      ],
    ])

    it('refuses names of headers and signals that are none', () => {
      assert.throws(
        () => container({ livenessProbe: { httpGet: { port: 80, httpHeaders: [{ name: 'X Probe', value: '' }] } } }),
        /httpHeaders\[0\]\.name: "X Probe" is not the name of an HTTP header/,
      )
      for (const signal of ['TERM', 'SIGNONE', 'SIGRTMIN+16', '15'])
        assert.throws(
          () => container({ lifecycle: { stopSignal: signal } }),
          /stopSignal: ".*" is not the name of a signal/,
        )
      for (const signal of ['SIGTERM', 'SIGRTMIN', 'SIGRTMAX-14'])
        assert.deepEqual(lines(container({ lifecycle: { stopSignal: signal } })), [])
    })
  })

  it('looks at objects that came as bytes with the rules of the schema too', () => {
    const bad = make('Pod', { spec: { containers: [{ name: 'c', image: 'busybox' }] } }, ({ spec }) => {
      spec.restartPolicy = 'Perhaps' as never
      spec.hostUsers = false
      spec.containers[0]!.ports = [{ containerPort: 0, protocol: 'TCP' }]
      spec.containers.push({ ...spec.containers[0]!, ports: undefined })
    })
    assert.deepEqual(lines(bad), [
      'spec.containers[0].ports[0].containerPort: 0 is out of range (give a number from 1 to 65535)',
      'spec.containers[1].name: is the second item with name "c" (the first is spec.containers[0]; keep one)',
      'spec.restartPolicy: "Perhaps" is not one of the values allowed (use Always, OnFailure, Never)',
      'spec.hostUsers: Kubernetes has it, Gantry does not act on it yet (leave it out, or write true)',
    ])
  })

  it('reports a quantity that came as bytes and is none', () => {
    const bad = container({ resources: { limits: { cpu: '1' }, requests: { cpu: '1' } } })
    bad.spec.containers[0]!.resources.requests = { cpu: 'much' }
    assert.deepEqual(lines(bad), [
      'spec.containers[0].resources.requests[cpu]: "much" is not a quantity (write it as 250m, 1.5, 64Mi or 2G)',
    ])
  })

  it('never fails itself, whatever the texts and numbers in an object are', () => {
    const whole = container(
      {
        resources: { limits: { cpu: '1', 'a.b/c': '1' }, requests: { cpu: '1', 'a.b/c': '1' } },
        ports: [{ containerPort: 1, name: 'a' }],
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
        env: [
          { name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
          { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        ],
      },
      {
        volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }],
        tolerations: [{ key: 'a', operator: 'Exists' }],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'a',
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchExpressions: [{ key: 'a', operator: 'Exists' }] },
          },
        ],
      },
    )
    const web = deployment({ selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] } })
    fc.assert(
      fc.property(
        fc.constantFrom<AnyResource>(whole, web),
        fc.nat(),
        fc.string(),
        fc.integer(),
        (object, place, text, number) => {
          const changed = structuredClone(object)
          const leaves = leavesOf(changed)
          const { parent, key } = leaves[place % leaves.length]!
          parent[key] = typeof parent[key] === 'string' ? text : typeof parent[key] === 'number' ? number : parent[key]
          assert(Array.isArray(validate(changed)))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('does not look at status', () => {
    assert.deepEqual(
      lines(
        make(
          'Pod',
          { spec: { containers: [{ name: 'c', image: 'b' }] } },
          (object) => void (object.status.phase = 'Odd' as never),
        ),
      ),
      [],
    )
  })

  describe('metadata', () => {
    const named = (kind: Kind, metadata: Json): Resources[Kind] => make(kind, { metadata })
    refuses([
      ['no name', () => named('ConfigMap', {}), 'metadata.name: is required (give the object a name)'],
      [
        'a bad name',
        () => named('ConfigMap', { name: 'Web_1' }),
        'metadata.name: "Web_1" is not a DNS name (use lower-case letters, digits, "-" and ".", each part beginning and ending with a letter or digit)',
      ],
      [
        'a long name',
        () => named('ConfigMap', { name: 'a'.repeat(254) }),
        `metadata.name: "${'a'.repeat(58)}… has 254 characters, at most 253 are allowed (shorten it)`,
      ],
      [
        "a dot in a namespace's name",
        () => named('Namespace', { name: 'a.b' }),
        `metadata.name: "a.b" is not a DNS label (${labelRemedy})`,
      ],
      [
        'a beginning that no name can have',
        () => named('ConfigMap', { generateName: '-a' }),
        'metadata.generateName: "-a" is not a DNS name (use lower-case letters, digits, "-" and ".", each part beginning and ending with a letter or digit)',
      ],
      [
        'a namespace around what has none',
        () => named('Node', { name: 'n', namespace: 'default' }),
        'metadata.namespace: "default" is not allowed, a Node belongs to no namespace (leave it out)',
      ],
      [
        'large annotations',
        () => named('ConfigMap', { name: 'a', annotations: { a: 'x'.repeat(262_144) } }),
        'metadata.annotations: have 262145 bytes, at most 262144 are allowed (keep large texts in a ConfigMap)',
      ],
      [
        'two controllers',
        () =>
          named('ConfigMap', {
            name: 'a',
            ownerReferences: ['1', '2'].map((uid) => ({
              apiVersion: 'v1',
              kind: 'Pod',
              name: `p${uid}`,
              uid,
              controller: true,
            })),
          }),
        'metadata.ownerReferences: have 2 controllers (Pod p1, Pod p2), at most one is allowed (keep one)',
      ],
      [
        'an owner without uid',
        () => named('ConfigMap', { name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p' }] }),
        'metadata.ownerReferences[0].uid: is required',
      ],
    ])
    it('accepts a beginning of a name that ends with a hyphen', () =>
      assert.deepEqual(lines(named('ConfigMap', { generateName: 'web-' })), []))
  })

  describe('pod', () => {
    refuses([
      ['no container', () => pod({ containers: [] }), 'spec.containers: is required'],
      [
        'a container without image',
        () => pod({ containers: [{ name: 'c' }] }),
        'spec.containers[0].image: is required',
      ],
      [
        'one name for two containers',
        () => pod({ initContainers: [{ name: 'c', image: 'a' }] }),
        'spec.initContainers[0].name: "c" is the name of a container, too (choose another)',
      ],
      [
        'hostPID beside one process tree',
        () => pod({ hostPID: true, shareProcessNamespace: true }),
        "spec.shareProcessNamespace: true cannot stand beside hostPID: the processes are the node's then (keep one of the two)",
      ],
      [
        'a deadline of more than 32 bits',
        () => pod({ activeDeadlineSeconds: 2 ** 31 }),
        'spec.activeDeadlineSeconds: 2147483648 is too large (give a number from 1 to 2147483647)',
      ],
      [
        'a pull secret without name',
        () => pod({ imagePullSecrets: [{}] }),
        'spec.imagePullSecrets[0].name: is required',
      ],
      [
        'two sources of a volume',
        () => pod({ volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] }),
        'spec.volumes[0].emptyDir: cannot stand beside hostPath, a volume has only one source (keep one, or use projected)',
      ],
      [
        'a secret volume without secret',
        () => pod({ volumes: [{ name: 'v', secret: {} }] }),
        'spec.volumes[0].secret.secretName: is required',
      ],
      [
        'a ConfigMap volume without name',
        () => pod({ volumes: [{ name: 'v', configMap: {} }] }),
        'spec.volumes[0].configMap.name: is required',
      ],
      [
        'a negative size',
        () => pod({ volumes: [{ name: 'v', emptyDir: { sizeLimit: '-1' } }] }),
        'spec.volumes[0].emptyDir.sizeLimit: "-1" is negative (give 0 (no limit) or more)',
      ],
      [
        'one file twice',
        () =>
          pod({
            volumes: [
              {
                name: 'v',
                configMap: {
                  name: 'a',
                  items: [
                    { key: 'a', path: 'f' },
                    { key: 'b', path: 'f' },
                  ],
                },
              },
            ],
          }),
        'spec.volumes[0].configMap.items[1].path: "f" is the path of an item before (choose another)',
      ],
      [
        'a token that ends too soon',
        () =>
          pod({
            volumes: [
              {
                name: 'v',
                projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 60 } }] },
              },
            ],
          }),
        'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: 60 is out of range (give a number from 600 to 4294967296)',
      ],
      [
        'two sources of one file',
        () =>
          pod({
            volumes: [
              {
                name: 'v',
                projected: {
                  sources: [
                    { serviceAccountToken: { path: 'token' } },
                    { configMap: { name: 'c', items: [{ key: 'k', path: 'token' }] } },
                  ],
                },
              },
            ],
          }),
        'spec.volumes[0].projected.sources[1]: "token" is a file of spec.volumes[0].projected.sources[0], too (choose another path)',
      ],
      [
        'an empty projection',
        () => pod({ volumes: [{ name: 'v', projected: { sources: [{}] } }] }),
        'spec.volumes[0].projected.sources[0]: is required (give one of secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle)',
      ],
      [
        'a file of a resource of no container',
        () =>
          pod({
            volumes: [
              { name: 'v', downwardAPI: { items: [{ path: 'a', resourceFieldRef: { resource: 'limits.cpu' } }] } },
            ],
          }),
        'spec.volumes[0].downwardAPI.items[0].resourceFieldRef.containerName: is required (a volume belongs to all containers: name one)',
      ],
      [
        'a toleration of no key',
        () => pod({ tolerations: [{ value: 'a' }] }),
        'spec.tolerations[0].operator: "Equal" needs a key (give a key, or use Exists for every taint)',
      ],
      [
        'a value that need only exist',
        () => pod({ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }),
        'spec.tolerations[0].operator: "Exists" does not go with a value (leave the value out, or use Equal)',
      ],
      [
        'seconds of another effect',
        () => pod({ tolerations: [{ key: 'a', effect: 'NoSchedule', tolerationSeconds: 1 }] }),
        'spec.tolerations[0].effect: "NoSchedule" does not go with tolerationSeconds (leave tolerationSeconds out, or say effect: NoExecute)',
      ],
      [
        'minDomains where nothing waits',
        () =>
          pod({
            topologySpreadConstraints: [
              { maxSkew: 1, topologyKey: 'a', whenUnsatisfiable: 'ScheduleAnyway', minDomains: 2 },
            ],
          }),
        'spec.topologySpreadConstraints[0].minDomains: 2 is for DoNotSchedule only (leave it out)',
      ],
      [
        'a label key in both places',
        () =>
          pod({
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: 'a',
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: { b: 'c' } },
                matchLabelKeys: ['b'],
              },
            ],
          }),
        'spec.topologySpreadConstraints[0].matchLabelKeys[0]: "b" is in labelSelector already (name it in one of the two)',
      ],
      [
        'a sysctl of the node',
        () => pod({ securityContext: { sysctls: [{ name: 'vm.swappiness', value: '1' }] } }),
        'spec.securityContext.sysctls[0].name: "vm.swappiness" does not belong to a pod\'s namespaces (use kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*; set others on the node)',
      ],
      [
        "a sysctl of the node's network",
        () => pod({ hostNetwork: true, securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '1' }] } }),
        'spec.securityContext.sysctls[0].name: "net.core.somaxconn" cannot be set with hostNetwork: it is the node\'s then (set it on the node)',
      ],
    ])
  })

  describe('container', () => {
    const at = 'spec.containers[0]'
    refuses([
      [
        'a mount of no volume',
        () => container({ volumeMounts: [{ name: 'w', mountPath: '/w' }] }, { volumes: [{ name: 'v' }] }),
        `${at}.volumeMounts[0].name: "w" is not a volume of this pod (add it under volumes, or use v)`,
      ],
      [
        'mounts that leave an unprivileged container',
        () =>
          container(
            { volumeMounts: [{ name: 'v', mountPath: '/v', mountPropagation: 'Bidirectional' }] },
            { volumes: [{ name: 'v' }] },
          ),
        `${at}.volumeMounts[0].mountPropagation: "Bidirectional" is for privileged containers only (use HostToContainer)`,
      ],
      [
        'two ways to say a place inside a volume',
        () =>
          container(
            { volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'a', subPathExpr: '$(A)' }] },
            { volumes: [{ name: 'v' }] },
          ),
        `${at}.volumeMounts[0].subPathExpr: "$(A)" cannot stand beside subPath (keep one of the two)`,
      ],
      [
        "all of the node's /proc",
        () => container({ securityContext: { procMount: 'Unmasked' } }),
        `${at}.securityContext.procMount: "Unmasked" needs hostUsers: false (leave it out: pods have no user namespace of their own yet)`,
      ],
      [
        "all of the node's /proc, before the others start",
        () =>
          container({}, { initContainers: [{ name: 'i', image: 'x', securityContext: { procMount: 'Unmasked' } }] }),
        'spec.initContainers[0].securityContext.procMount: "Unmasked" needs hostUsers: false (leave it out: pods have no user namespace of their own yet)',
      ],
      [
        'one port name twice',
        () =>
          container({
            ports: [
              { name: 'a', containerPort: 1 },
              { name: 'a', containerPort: 2 },
            ],
          }),
        `${at}.ports[1].name: "a" is the name of a port before (choose another)`,
      ],
      [
        'a value beside where it comes from',
        () => container({ env: [{ name: 'A', value: 'b', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] }),
        `${at}.env[0].valueFrom: cannot stand beside value (keep one of the two)`,
      ],
      [
        'a value from nowhere',
        () => container({ env: [{ name: 'A', valueFrom: {} }] }),
        `${at}.env[0].valueFrom: is required (give one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef)`,
      ],
      [
        'a value from two places',
        () =>
          container({
            env: [
              {
                name: 'A',
                valueFrom: { configMapKeyRef: { name: 'a', key: 'b' }, secretKeyRef: { name: 'a', key: 'b' } },
              },
            ],
          }),
        `${at}.env[0].valueFrom: has configMapKeyRef and secretKeyRef, only one is allowed (keep one)`,
      ],
      [
        'a key of a nameless Secret',
        () => container({ env: [{ name: 'A', valueFrom: { secretKeyRef: { key: 'b' } } }] }),
        `${at}.env[0].valueFrom.secretKeyRef.name: is required`,
      ],
      [
        "a resource of another pod's container",
        () =>
          container({
            env: [{ name: 'A', valueFrom: { resourceFieldRef: { containerName: 'd', resource: 'limits.cpu' } } }],
          }),
        `${at}.env[0].valueFrom.resourceFieldRef.containerName: "d" is not a container of this pod (use c)`,
      ],
      [
        'cpu counted in bytes',
        () =>
          container({
            env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1Mi' } } }],
          }),
        `${at}.env[0].valueFrom.resourceFieldRef.divisor: "1Mi" is not a unit of limits.cpu (use 1, 1m)`,
      ],
      [
        'all keys of nothing',
        () => container({ envFrom: [{ prefix: 'A' }] }),
        `${at}.envFrom[0]: is required (give one of configMapRef, secretRef)`,
      ],
      [
        'all keys of the nameless',
        () => container({ envFrom: [{ configMapRef: {} }] }),
        `${at}.envFrom[0].configMapRef.name: is required`,
      ],
      [
        'a request over the limit',
        () => container({ resources: { limits: { memory: '1Gi' }, requests: { memory: '1025Mi' } } }),
        `${at}.resources.requests: "1025Mi" of memory is more than the limit, 1Gi (request at most the limit)`,
      ],
      [
        'a negative request',
        () => container({ resources: { requests: { cpu: '-1' } } }),
        `${at}.resources.requests[cpu]: "-1" is negative (give 0 or more)`,
      ],
      [
        'a part of a byte',
        () => container({ resources: { requests: { memory: '100m' } } }),
        `${at}.resources.requests[memory]: "100m" is too fine (memory is counted in whole units)`,
      ],
      [
        'a part of a thousandth of a core',
        () => container({ resources: { requests: { cpu: '1u' } } }),
        `${at}.resources.requests[cpu]: "1u" is too fine (cpu is counted in 1m (a thousandth of a core))`,
      ],
      [
        'pods in a pod',
        () => container({ resources: { requests: { pods: '1' } } }),
        `${at}.resources.requests[pods]: "1" is a resource of nodes, not of containers (leave it out)`,
      ],
      [
        'a shared device',
        () => container({ resources: { limits: { 'a.b/c': '2' }, requests: { 'a.b/c': '1' } } }),
        `${at}.resources.requests: "1" of a.b/c differs from the limit, 2 (a.b/c cannot be shared: request the limit)`,
      ],
      [
        'a device without limit',
        () => container({ resources: { requests: { 'a.b/c': '1' } } }),
        `${at}.resources.limits: is required (a.b/c cannot be shared: set a limit that is the request)`,
      ],
      [
        'privileged without escalation',
        () => container({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
        `${at}.securityContext: has allowPrivilegeEscalation: false, which cannot be held with privileged: true (leave one of the two out)`,
      ],
      [
        'a seccomp file without name',
        () => container({ securityContext: { seccompProfile: { type: 'Localhost' } } }),
        `${at}.securityContext.seccompProfile.localhostProfile: is required (name a file of the node)`,
      ],
      [
        'a seccomp file that is not used',
        () => container({ securityContext: { seccompProfile: { type: 'Unconfined', localhostProfile: 'a' } } }),
        `${at}.securityContext.seccompProfile.localhostProfile: "a" is not allowed with type Unconfined (leave it out, or use type Localhost)`,
      ],
    ])
  })

  describe('workload', () => {
    const template = 'spec.template.spec'
    refuses([
      [
        'an empty selector',
        () => deployment({ selector: {} }),
        'spec.selector: is empty: it would match every pod of the namespace (give matchLabels)',
      ],
      [
        'a selector that does not match',
        () => deployment({ selector: { matchLabels: { app: 'api' } } }),
        'spec.template.metadata.labels: {"app":"web"} are not matched by spec.selector (give the template the labels that the selector asks for)',
      ],
      [
        'In without values',
        () => deployment({ selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } }),
        'spec.selector.matchExpressions[0].values: is required (In needs at least one)',
      ],
      [
        'Exists with values',
        () => deployment({ selector: { matchExpressions: [{ key: 'app', operator: 'Exists', values: ['a'] }] } }),
        'spec.selector.matchExpressions[0].values: ["a"] are not allowed with Exists (leave them out)',
      ],
      [
        'pods that end',
        () => deployment({}, { restartPolicy: 'Never' }),
        `${template}.restartPolicy: "Never" is not supported here: supported values: "Always" (pods of this kind are kept running: use Always)`,
      ],
      [
        'pods with a deadline',
        () => deployment({}, { activeDeadlineSeconds: 5 }),
        `${template}.activeDeadlineSeconds: is not allowed here: pods of this kind are kept running (leave it out)`,
      ],
      ['a template that is no pod', () => deployment({}, { containers: [] }), `${template}.containers: is required`],
      [
        'a rollout that cannot move',
        () => deployment({ strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: '0%' } } }),
        'spec.strategy.rollingUpdate.maxUnavailable: "0%" cannot be 0 when maxSurge is 0 too (no pod could ever be replaced: raise one of the two)',
      ],
      [
        'more missing than all',
        () => deployment({ strategy: { rollingUpdate: { maxUnavailable: '101%' } } }),
        'spec.strategy.rollingUpdate.maxUnavailable: "101%" is more than all (give at most 100%)',
      ],
      [
        'a pace of what has none',
        () => deployment({ strategy: { type: 'Recreate', rollingUpdate: {} } }),
        'spec.strategy.rollingUpdate: is not allowed with type Recreate (leave it out)',
      ],
      [
        'a deadline before anything is available',
        () => deployment({ minReadySeconds: 600 }),
        'spec.progressDeadlineSeconds: 600 is not more than minReadySeconds, 600 (no rollout could succeed: give more)',
      ],
    ])
    it('refuses a workload without selector or template', () => {
      assert.deepEqual(lines(make('ReplicaSet', { spec: {} })), [
        'spec.selector: is required',
        'spec.template: is required',
      ])
    })
  })

  describe('the others', () => {
    refuses([
      [
        'one key in data and binaryData',
        () => make('ConfigMap', { data: { a: 'b' }, binaryData: { a: 'Yg==' } }),
        'data[a]: "a" is a key of binaryData too (keep it in one of the two)',
      ],
      [
        'a ConfigMap of more than 1 MiB',
        () => make('ConfigMap', { data: { a: 'x'.repeat(1024 * 1024) }, binaryData: { b: 'Yg==' } }),
        'data: has 1048577 bytes, at most 1048576 are allowed (split it, or put large files into an image or a volume)',
      ],
      [
        'a certificate without key',
        () => make('Secret', { type: 'kubernetes.io/tls', stringData: { 'tls.crt': 'x' } }),
        'data[tls.key]: is required (a Secret of type kubernetes.io/tls has it)',
      ],
      [
        'a token without end',
        () => make('Secret', { type: 'kubernetes.io/service-account-token' }),
        'type: "kubernetes.io/service-account-token" is not made: a token in a Secret would never end (mount one into pods (volumes[].projected), or ask for one: kubectl create token ACCOUNT)',
      ],
      [
        'credentials that are no JSON',
        () => make('Secret', { type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': 'x' } }),
        'data[.dockerconfigjson]: is not JSON (write it as in the file that a registry login makes)',
      ],
      [
        'an account without name and password',
        () => make('Secret', { type: 'kubernetes.io/basic-auth' }),
        ...['username', 'password'].map(
          (key) =>
            `data[${key}]: is required (a Secret of type kubernetes.io/basic-auth has username, password or both)`,
        ),
      ],
      [
        'a taint without effect',
        () => make('Node', { spec: { taints: [{ key: 'a' }] } }),
        'spec.taints[0].effect: is required',
      ],
      [
        'a range that is none',
        () => make('Node', { spec: { podCIDR: '10.0.0.1' } }),
        'spec.podCIDR: "10.0.0.1" is not a range of addresses (write it as 10.64.3.0/24)',
      ],
      [
        'an event elsewhere',
        () => make('Event', { metadata: { name: 'e', namespace: 'a' }, involvedObject: { namespace: 'b' } }),
        'involvedObject.namespace: "b" is not the namespace of the event (it must be a)',
      ],
      [
        'a lease without duration',
        () => make('Lease', {}, (lease) => void (lease.spec.leaseDurationSeconds = 0)),
        'spec.leaseDurationSeconds: 0 is out of range (give a number 1 or more)',
      ],
    ])
  })
})

/** Every place in an object, but its kind and version, that holds a plain value. */
function leavesOf(value: object): { parent: Record<string, unknown>; key: string }[] {
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    if (typeof item === 'object' && item !== null) return leavesOf(item)
    return key === 'kind' || key === 'apiVersion' ? [] : [{ parent: value as Record<string, unknown>, key }]
  })
}

describe('validateUpdate', () => {
  const update = <T extends AnyResource>(previous: T, change: (next: T) => void): string[] => {
    const next = structuredClone(previous)
    change(next)
    return validateUpdate(next, previous).map(describeProblem)
  }
  const fixed =
    'cannot be changed once the pod exists (only image, activeDeadlineSeconds and further tolerations can be; create a new pod for the rest)'

  it('accepts what may change', () => {
    const previous = pod({
      activeDeadlineSeconds: 10,
      tolerations: [{ key: 'a', effect: 'NoExecute', tolerationSeconds: 5 }],
    })
    assert.deepEqual(
      update(previous, ({ metadata, spec }) => {
        metadata.labels = { a: 'b' }
        spec.containers[0]!.image = 'busybox:2'
        spec.activeDeadlineSeconds = 5
        spec.tolerations = [
          { key: 'b', operator: 'Exists' },
          { key: 'a', effect: 'NoExecute', tolerationSeconds: 7 },
        ]
        spec.nodeName = 'n1'
      }),
      [],
    )
    assert.deepEqual(
      update(deployment({}), ({ spec }) => void (spec.replicas = 3)),
      [],
    )
    assert.deepEqual(
      update(make('Secret', { data: { a: 'Yg==' } }), (secret) => void (secret.immutable = true)),
      [],
    )
  })

  const bound = pod({ nodeName: 'n1', activeDeadlineSeconds: 10, tolerations: [{ key: 'a', operator: 'Exists' }] })
  const table: [string, () => string[], string[]][] = [
    [
      'another name, namespace and uid',
      () => update(make('ConfigMap', {}), ({ metadata }) => void Object.assign(metadata, { name: 'y', uid: 'u' })),
      ['metadata.name: "y" field is immutable (it is x)', 'metadata.uid: "u" field is immutable (it is )'],
    ],
    [
      'another node',
      () => update(bound, ({ spec }) => void (spec.nodeName = 'n2')),
      ['spec.nodeName: "n2" cannot be changed once the pod is bound (it runs on n1)'],
    ],
    [
      'a later deadline',
      () => update(bound, ({ spec }) => void (spec.activeDeadlineSeconds = 11)),
      ['spec.activeDeadlineSeconds: 11 cannot be put off or taken away (give at most 10)'],
    ],
    [
      'fewer tolerations',
      () => update(bound, ({ spec }) => void (spec.tolerations = [])),
      ['spec.tolerations: {"key":"a","operator":"Exists"} cannot be taken away (tolerations can only be added)'],
    ],
    [
      'another command and setting',
      () => update(bound, ({ spec }) => void ((spec.containers[0]!.command = ['a']), (spec.hostNetwork = true))),
      [`spec.hostNetwork: ${fixed}`, `spec.containers[0].command: ${fixed}`],
    ],
    [
      'other networks',
      () =>
        update(
          pod({}),
          ({ metadata }) =>
            void (metadata.annotations = { 'gantry.dev/networks': 'lab', 'gantry.dev/cluster-network': 'none' }),
        ),
      [
        'metadata.annotations[gantry.dev/networks]: "lab" cannot be changed once the pod exists (leave it out, or create a new pod)',
        'metadata.annotations[gantry.dev/cluster-network]: "none" cannot be changed once the pod exists (leave it out, or create a new pod)',
      ],
    ],
    [
      'a further container',
      () => update(bound, ({ spec }) => void spec.containers.push({ ...spec.containers[0]!, name: 'd' })),
      [`spec.containers: ${fixed}`],
    ],
    [
      'another selector',
      () =>
        update(
          deployment({}),
          ({ spec }) =>
            void ((spec.selector = { matchLabels: { a: 'b' } }), (spec.template.metadata.labels = { a: 'b' })),
        ),
      ['spec.selector: {"matchLabels":{"a":"b"}} field is immutable (delete the object and create it anew)'],
    ],
    [
      'another type of Secret',
      () => update(make('Secret', {}), (secret) => void (secret.type = 'x')),
      ['type: "x" field is immutable (delete the object and create it anew)'],
    ],
    [
      'immutable data',
      () => update(make('ConfigMap', { immutable: true, data: { a: 'b' } }), (map) => void (map.data = { a: 'c' })),
      ['data: field is immutable when `immutable` is set (create one with another name)'],
    ],
    [
      'immutable data made mutable',
      () => update(make('Secret', { immutable: true }), (secret) => void (secret.immutable = false)),
      ['immutable: field is immutable when `immutable` is set (delete the object and create it anew)'],
    ],
    [
      'another range of addresses',
      () =>
        update(make('Node', { spec: { podCIDR: '10.0.0.0/24' } }), ({ spec }) => void (spec.podCIDR = '10.0.1.0/24')),
      ['spec.podCIDRs: "10.0.1.0/24" cannot be changed: podCIDR stays once it is set (it is 10.0.0.0/24)'],
    ],
    [
      'a finalizer on what is being deleted',
      () =>
        update(
          make('ConfigMap', {
            metadata: { name: 'x', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a.b/c'] },
          }),
          ({ metadata }) => void metadata.finalizers!.push('a.b/d'),
        ),
      [
        'metadata.finalizers: "a.b/d" cannot be added, the object is being deleted (finalizers can only be taken out now)',
      ],
    ],
  ]
  for (const [what, run, expected] of table) {
    it(`refuses ${what}`, () => assert.deepEqual(run(), expected))
  }
})
