import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkAdmission } from '../../../../agent/pods/plan/admission.ts'
import { AssignedObjects } from '../../../../agent/pods/assigned-objects.ts'
import { commandLine, containerSpec, type ContainerContext } from '../../../../agent/pods/steps/container-spec.ts'
import { environment, expand } from '../../../../agent/pods/steps/environment.ts'
import { fieldValue, resourceValue, type DownwardApiContext } from '../../../../agent/volumes/downward-api.ts'
import { hostsFile, podHostname, writePodFiles } from '../../../../agent/pods/steps/pod-files.ts'
import { pullCredentials } from '../../../../agent/pods/steps/pull-credentials.ts'
import { containerResources, oomScoreAdj, podResources } from '../../../../agent/pods/steps/cgroup-resources.ts'
import { nextFailureCount, restartBackoff } from '../../../../agent/pods/plan/restart-backoff.ts'
import { resolveUser } from '../../../../agent/pods/steps/user.ts'
import { PodFolders } from '../../../../agent/volumes/pod-folders.ts'
import type { Container, Pod, Secret } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod } from '../../fakes.ts'

const PLACE: DownwardApiContext = {
  nodeName: 'n1',
  hostAddress: '192.0.2.1',
  podAddresses: ['10.1.0.2', 'fd00::2'],
  allocatable: { cpu: '4', memory: '8Gi' },
}
const base64 = (text: string): string => Buffer.from(text).toString('base64')

function objects(): AssignedObjects {
  const known = new AssignedObjects()
  known.reset()
  known.set({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'cm', namespace: 'default', uid: 'u1', resourceVersion: '1' },
    data: { A: '1', B: '2' },
  })
  known.set({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default', uid: 'u2', resourceVersion: '1' },
    type: 'Opaque',
    data: { KEY: base64('hush') },
  })
  return known
}

describe('a container for the runtime', () => {
  it('expands variables', () => {
    const variables = new Map([
      ['A', 'x'],
      ['B', '$(A)'],
    ])
    for (const [text, expected] of [
      ['$(A)', 'x'],
      ['$(B)', '$(A)'],
      ['$(C)', '$(C)'],
      ['$$(A)', '$(A)'],
      ['$$$(A)', '$x'],
      ['$A', '$A'],
      ['$(A', '$(A'],
      ['a$', 'a$'],
      ['$()', '$()'],
    ] as const)
      assert.equal(expand(text, variables), expected, text)
  })

  it('takes command and args as Kubernetes does', () => {
    const image = { entrypoint: ['/ep'], cmd: ['c'] }
    const line = (fields: Partial<Container>): string[] =>
      commandLine(makeContainer('main', fields), image, new Map([['X', 'y']]))
    assert.deepEqual(line({}), ['/ep', 'c'])
    assert.deepEqual(line({ args: ['$(X)'] }), ['/ep', 'y'])
    assert.deepEqual(line({ command: ['k'] }), ['k'])
    assert.deepEqual(line({ command: ['k'], args: ['a'] }), ['k', 'a'])
  })

  it('gathers the environment in order, later ones winning', () => {
    const container = makeContainer('main', {
      envFrom: [
        { prefix: 'P_', configMapRef: { name: 'cm' } },
        { secretRef: { name: 's' } },
        { configMapRef: { name: 'none', optional: true } },
      ],
      env: [
        { name: 'P_B', value: 'own' },
        { name: 'C', value: '$(P_A)-$(KEY)' },
        { name: 'D', valueFrom: { configMapKeyRef: { name: 'cm', key: 'none', optional: true } } },
        { name: 'IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } },
        { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      ],
    })
    const found = environment(makePod('web', { containers: [container] }), container, objects(), PLACE)
    assert.deepEqual(Object.fromEntries(found), {
      P_A: '1',
      P_B: 'own',
      KEY: 'hush',
      C: '1-hush',
      IP: '10.1.0.2',
      CPU: '4',
    })
  })

  it('names a reference that is missing', () => {
    const missing = (fields: Partial<Container>): void =>
      void environment(makePod('web'), makeContainer('main', fields), objects(), PLACE)
    assert.throws(() => missing({ envFrom: [{ configMapRef: { name: 'nope' } }] }), {
      code: 'NotFound',
      message: 'configmap "nope" not found',
    })
    assert.throws(() => missing({ env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }), {
      code: 'NotFound',
      message: 'key "k" in secret "s" not found',
    })
  })

  it('reads fields and resources', () => {
    const pod = makePod(
      'web',
      {
        containers: [makeContainer('main', { resources: { limits: { memory: '100Mi' }, requests: { cpu: '250m' } } })],
      },
      { labels: { b: '2', a: 'x"y' } },
    )
    assert.equal(fieldValue(pod, { fieldPath: 'metadata.labels' }, PLACE), 'a="x\\"y"\nb="2"\n')
    assert.equal(fieldValue(pod, { fieldPath: "metadata.labels['b']" }, PLACE), '2')
    assert.equal(fieldValue(pod, { fieldPath: 'spec.nodeName' }, PLACE), 'n1')
    assert.throws(() => fieldValue(pod, { fieldPath: 'spec.nope' }, PLACE), { code: 'InvalidArgument' })
    assert.equal(resourceValue(pod, { resource: 'limits.memory', divisor: '1Mi' }, 'main', PLACE), '100')
    assert.equal(resourceValue(pod, { resource: 'requests.cpu' }, 'main', PLACE), '1')
    assert.equal(resourceValue(pod, { resource: 'requests.cpu', divisor: '1m' }, 'main', PLACE), '250')
    assert.equal(resourceValue(pod, { resource: 'limits.cpu' }, 'main', PLACE), '4')
  })

  it('resolves who runs it', () => {
    const files = {
      passwd: 'root:x:0:0::/:/bin/sh\napp:x:100:101::/:\n',
      group: 'root:x:0:\nextra:x:200:app,other\nweb:x:300:\n',
    }
    const user = (
      imageUser: string,
      container: Container['securityContext'] = {},
      pod: Partial<Pod['spec']['securityContext']> = {},
    ) =>
      resolveUser(
        makePod('web', { securityContext: pod }),
        makeContainer('main', { securityContext: container }),
        imageUser,
        files,
      )
    assert.deepEqual(user(''), { uid: 0, gid: 0, additionalGids: [0] })
    assert.deepEqual(user('app'), { uid: 100, gid: 101, additionalGids: [101, 200] })
    assert.deepEqual(user('app:web'), { uid: 100, gid: 300, additionalGids: [300, 200] })
    assert.deepEqual(user('7:8'), { uid: 7, gid: 8, additionalGids: [8] })
    assert.deepEqual(user('app', { runAsUser: 5 }), { uid: 5, gid: 0, additionalGids: [0] })
    assert.deepEqual(user('', { runAsGroup: 9 }, { runAsUser: 100, fsGroup: 50, supplementalGroups: [60] }), {
      uid: 100,
      gid: 9,
      additionalGids: [9, 200, 60, 50],
    })
    assert.throws(() => user('ghost'), { code: 'FailedPrecondition' })
    assert.throws(() => user('', { runAsNonRoot: true }), { code: 'FailedPrecondition' })
    assert.throws(() => user('4294967296', { runAsNonRoot: true }), {
      code: 'FailedPrecondition',
      message: /has the id 4294967296/,
    })
    assert.throws(() => user('1:4294967296'), { code: 'FailedPrecondition' })
    assert.deepEqual(user('app', {}, { runAsNonRoot: true }).uid, 100)
  })

  it('puts it all together', () => {
    const container = makeContainer('main', {
      args: ['$(MODE)'],
      env: [{ name: 'MODE', value: 'on' }],
      workingDir: '/w',
      tty: true,
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { add: ['CAP_NET_ADMIN'], drop: ['all'] },
      },
    })
    const pod = makePod('web', { containers: [container] })
    const context: ContainerContext = {
      pod,
      container,
      id: 'c1',
      rootfs: '/r',
      accounts: { passwd: '', group: '' },
      objects: objects(),
      place: PLACE,
      hostname: 'web',
      mounts: [],
      logPath: '/l',
      pidsLimit: 100,
      memoryCapacity: 1e9,
      seccompFolder: '/s',
      image: {
        env: ['PATH=/bin', 'MODE=off'],
        entrypoint: ['/ep'],
        cmd: ['c'],
        workingDir: '/i',
        user: '',
        stopSignal: '',
        volumes: [],
        labels: {},
      },
    }
    const spec = containerSpec(context)
    assert.deepEqual(spec.args, ['/ep', 'on'])
    assert.deepEqual([...spec.env].sort(), ['HOSTNAME=web', 'MODE=on', 'PATH=/bin', 'TERM=xterm'])
    assert.equal(spec.cwd, '/w')
    assert.deepEqual(spec.capabilities, { add: ['NET_ADMIN'], drop: ['ALL'] })
    assert.deepEqual(
      [spec.readOnlyRootfs, spec.allowPrivilegeEscalation, spec.privileged, spec.seccomp],
      [true, false, false, { type: 'RuntimeDefault' }],
    )
    assert.deepEqual(
      containerSpec({
        ...context,
        container: {
          ...container,
          securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' } },
        },
      }).seccomp,
      { type: 'Localhost', path: '/s/p.json' },
    )
    assert.deepEqual(
      containerSpec({ ...context, container: { ...container, securityContext: { privileged: true } } }).seccomp,
      { type: 'Unconfined' },
    )
  })
})

describe('resources of a pod', () => {
  const withResources = (resources: Container['resources']): Pod =>
    makePod('web', { containers: [makeContainer('main', { resources })] })

  it('becomes limits and weights', () => {
    const container = makeContainer('main', {
      resources: { limits: { cpu: '500m', memory: '64Mi' }, requests: { cpu: '250m' } },
    })
    assert.deepEqual(containerResources(container, 10), {
      cpuShares: 256,
      cpuQuotaMicros: 50_000,
      memoryLimit: 64 * 2 ** 20,
      pidsLimit: 10,
    })
    assert.deepEqual(containerResources(makeContainer('main'), 0), {
      cpuShares: 2,
      cpuQuotaMicros: 0,
      memoryLimit: 0,
      pidsLimit: 0,
    })
    const pod = makePod('web', {
      containers: [container, makeContainer('other', { resources: { limits: { memory: '36Mi' } } })],
      initContainers: [makeContainer('init', { resources: { limits: { memory: '200Mi' } } })],
    })
    assert.deepEqual(podResources(pod, 10), {
      cpuShares: 256,
      cpuQuotaMicros: 0,
      memoryLimit: 200 * 2 ** 20,
      pidsLimit: 10,
    })
  })

  it('says who goes first when memory runs out', () => {
    const score = (resources: Container['resources']): number =>
      oomScoreAdj(withResources(resources), withResources(resources).spec.containers[0]!, 8 * 2 ** 30)
    assert.equal(score({}), 1000)
    assert.equal(score({ limits: { cpu: '1', memory: '1Gi' } }), -997)
    assert.equal(score({ requests: { memory: '4Gi' } }), 500)
    assert.equal(score({ requests: { cpu: '1' } }), 999)
    assert.equal(score({ requests: { memory: '8Gi' } }), 3)
  })

  it('is refused where it does not fit', () => {
    const pod = withResources({ requests: { cpu: '1', 'example.com/gpu': '1' } })
    assert.equal(checkAdmission(pod, [], { cpu: '1', pods: '1', 'example.com/gpu': '1' }), undefined)
    assert.equal(checkAdmission(pod, [], { cpu: '1', pods: '1' })?.reason, 'OutOfexample.com/gpu')
    assert.equal(checkAdmission(pod, [pod], { cpu: '8', pods: '1' })?.reason, 'OutOfpods')
    const serving = makePod('serving', {
      containers: [makeContainer('c', { ports: [{ containerPort: 8080, hostPort: 80, protocol: 'TCP' }] })],
    })
    const daring = (hostPort: number, protocol: 'TCP' | 'UDP') =>
      makePod('daring', { containers: [makeContainer('c', { ports: [{ containerPort: 8080, hostPort, protocol }] })] })
    const reserved = [{ protocol: 'UDP', port: 4789, owner: 'the pod network (VXLAN)' }] as const
    assert.deepEqual(checkAdmission(daring(22, 'TCP'), [], { cpu: '8', pods: '9' }, reserved), {
      reason: 'HostPortReserved',
      message: 'host port 22/TCP of the node is reserved for SSH',
    })
    assert.deepEqual(
      checkAdmission(daring(4789, 'UDP'), [], { cpu: '8', pods: '9' }, reserved)?.reason,
      'HostPortReserved',
    )
    assert.equal(checkAdmission(daring(4789, 'TCP'), [], { cpu: '8', pods: '9' }, reserved), undefined)
    assert.equal(checkAdmission(daring(22, 'TCP'), [], { cpu: '8', pods: '9' }), undefined, 'one that is here already')
    assert.deepEqual(checkAdmission(serving, [serving], { cpu: '8', pods: '9' }), {
      reason: 'NodePorts',
      message: 'host port 80/TCP is that of pod default/serving on this node',
    })
    assert.equal(
      checkAdmission(
        pod,
        Array.from({ length: 1000 }, () => makePod('other')),
        { cpu: '8', pods: '1k' },
      )?.reason,
      'OutOfpods',
    )
    assert.equal(checkAdmission(pod, [pod], { cpu: '1', pods: '9', 'example.com/gpu': '2' })?.reason, 'OutOfcpu')
  })
})

describe('what a pod refers to', () => {
  const pod = makePod('web', {
    imagePullSecrets: [{ name: 'pull' }],
    volumes: [
      { name: 'v', configMap: { name: 'cm', defaultMode: 0o644 } },
      { name: 'p', projected: { defaultMode: 0o644, sources: [{ secret: { name: 's' } }] } },
    ],
    containers: [makeContainer('main', { envFrom: [{ configMapRef: { name: 'cm2' } }] })],
  })

  it('has a version that changes with it, and none before it is known', () => {
    const known = new AssignedObjects()
    assert.equal(known.version(pod), undefined)
    assert.equal(known.version(makePod('plain')), '')
    known.reset()
    const before = known.version(pod)
    known.set({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'default', uid: 'u', resourceVersion: '5' },
    })
    const after = known.version(pod)
    assert.notEqual(after, before)
    known.set({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'other', uid: 'u', resourceVersion: '6' },
    })
    assert.equal(known.version(pod), after)
  })

  it('gives registry credentials', () => {
    const known = new AssignedObjects()
    const secret = (data: Record<string, string>): Secret => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pull', namespace: 'default', uid: 'u', resourceVersion: '1' },
      type: 'kubernetes.io/dockerconfigjson',
      data,
    })
    known.set(
      secret({
        '.dockerconfigjson': base64(
          JSON.stringify({
            auths: {
              'https://index.docker.io/v1/': { auth: base64('me:pa:ss') },
              'r.example:5000': { username: 'u', password: 'p' },
            },
          }),
        ),
      }),
    )
    assert.deepEqual(pullCredentials(pod, known), [
      { registry: 'https://index.docker.io/v1/', username: 'me', password: 'pa:ss' },
      { registry: 'r.example:5000', username: 'u', password: 'p' },
    ])
    known.set(secret({ '.dockerconfigjson': base64('{') }))
    assert.throws(() => pullCredentials(pod, known), { code: 'FailedPrecondition' })
    assert.deepEqual(pullCredentials(pod, new AssignedObjects()), [])
  })
})

describe('files and names of a pod', () => {
  it('has a host name that fits', () => {
    assert.equal(podHostname(makePod('web')), 'web')
    assert.equal(podHostname(makePod(`${'a'.repeat(62)}-bc`)), 'a'.repeat(62))
    assert.equal(podHostname(makePod('web', { hostname: 'other' })), 'other')
    assert.equal(podHostname(makePod('web', { hostNetwork: true })), undefined)
  })

  it('knows itself and its aliases', () => {
    const text = hostsFile(['web'], ['10.1.0.2', 'fd00::2'], [{ ip: '192.0.2.9', hostnames: ['db', 'db.local'] }])
    assert.ok(text.includes('\n10.1.0.2\tweb\nfd00::2\tweb\n192.0.2.9\tdb\tdb.local\n'))
    assert.ok(text.includes('127.0.0.1\tlocalhost\n'))
  })

  it('begins its hosts file with the line by which programs know that it is managed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-hosts-'))
    try {
      const folders = new PodFolders(join(directory, 'state'), join(directory, 'run'))
      for (const [pod, line] of [
        [makePod('web'), '# Kubernetes-managed hosts file.'],
        [makePod('host', { hostNetwork: true }), '# Kubernetes-managed hosts file (host network).'],
      ] as const) {
        writePodFiles(folders, pod, {
          nodeHostname: 'n1',
          addresses: ['10.1.0.2'],
          dns: { resolver: '10.1.0.1', domain: 'cluster.local' },
        })
        assert.equal((await readFile(folders.etc(pod.metadata.uid, 'hosts'), 'utf8')).split('\n')[0], line)
      }
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describe('restart delay', () => {
  it('grows from nothing to a minute', () =>
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map(restartBackoff),
      [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000],
    ))
  it('begins anew after ten minutes of running', () =>
    assert.deepEqual([nextFailureCount(5, 599_999), nextFailureCount(5, 600_000)], [6, 1]))
})
