import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeJson, encodeJson, inspectJson } from '../../../proto/codec/codec.ts'
import { describeProblem } from '../../../proto/base/problem.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import { replaceSomewhere } from './replace-somewhere.ts'

const pod = (spec: JsonObject, more: JsonObject = {}): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec,
  ...more,
})
const container = (fields: JsonObject): JsonObject => pod({ containers: [{ name: 'c', image: 'busybox', ...fields }] })

/** The problems of a value, a line each. */
function problems(value: JsonValue): string[] {
  return inspectJson(undefined, value).problems.map(describeProblem)
}

describe('decodeJson', () => {
  it('gives the object in memory: canonical values, zero values that are never undefined, nothing for what is empty', () => {
    const object = decodeJson(
      'Pod',
      container({
        resources: { limits: { cpu: '0.5', memory: '1024Mi' }, requests: { cpu: 1 } },
        ports: [{ containerPort: 80 }],
        command: [],
        env: [{ name: 'A', value: '' }],
        stdin: null,
      }),
    )
    assert.deepEqual(object, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: '', uid: '', resourceVersion: '' },
      status: {},
      spec: {
        containers: [
          {
            name: 'c',
            image: 'busybox',
            resources: { limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: '1' } },
            ports: [{ containerPort: 80 }],
            env: [{ name: 'A', value: '' }],
          },
        ],
      },
    })
  })

  it('keeps what is a pointer in Go inside of what Kubernetes writes even if it is empty', () => {
    const status = (state: JsonObject): JsonObject => ({
      ...pod({ containers: [{ name: 'c', image: 'i' }] }),
      status: { containerStatuses: [{ name: 'c', state, lastState: {} }] },
    })
    for (const state of [{ terminated: { exitCode: 0 } }, { running: {} }] as JsonObject[]) {
      const [shown] = decodeJson('Pod', status(state)).status.containerStatuses!
      assert.deepEqual(Object.keys(shown!.state ?? {}), Object.keys(state))
      assert.equal(shown!.lastState, undefined)
    }
  })

  it('takes the kind from the caller when the value has none, and refuses another', () => {
    assert.equal(decodeJson('ConfigMap', { metadata: { name: 'a' } }).kind, 'ConfigMap')
    assert.throws(() => decodeJson('ConfigMap', pod({})), /kind: "Pod" is not the kind asked for, ConfigMap/)
  })

  it('tells all problems at once, with field, value, message and remedy', () => {
    assert.throws(
      () =>
        decodeJson(
          undefined,
          pod({ containers: [{ name: 'c', imagee: 'x' }], restartPolicy: 'Sometimes', hostPID: 'yes' }),
        ),
      (error) => {
        assert(GantryError.is(error, 'InvalidArgument'))
        assert.deepEqual(error.details, [
          { field: 'spec.containers[0].imagee', value: '', message: 'unknown field', remedy: 'did you mean image?' },
          {
            field: 'spec.restartPolicy',
            value: '"Sometimes"',
            message: 'is not one of the values allowed',
            reason: 'FieldValueNotSupported',
            remedy: 'use Always, OnFailure, Never',
          },
          {
            field: 'spec.hostPID',
            value: '',
            message: '"yes" is a string, a boolean is needed',
            remedy: 'write true or false, without quotes',
            reason: 'FieldValueTypeInvalid',
          },
        ])
        return true
      },
    )
  })

  const refused: [string, JsonValue, string][] = [
    ['no object', [], 'is a list, an object is needed'],
    ['no kind', { apiVersion: 'v1' }, 'kind is missing (say what it is, such as kind: Pod)'],
    ['no version', { kind: 'Pod' }, 'apiVersion is missing (say the group and version, such as apiVersion: v1)'],
    ['an unknown kind', { apiVersion: 'v1', kind: 'Pode' }, 'kind: "Pode" is not a known kind (did you mean Pod?)'],
    [
      'another version',
      { apiVersion: 'extensions/v1beta1', kind: 'Deployment' },
      'apiVersion: "extensions/v1beta1" is not a version of Deployment that Gantry serves (write apiVersion: apps/v1)',
    ],
    [
      'a kind that only Kubernetes has',
      { apiVersion: 'v1', kind: 'ResourceQuota' },
      'kind: ResourceQuota: Kubernetes has it, Gantry does not act on it yet (leave this object out)',
    ],
    [
      'a number for a string',
      container({ image: 7 }),
      'spec.containers[0].image: 7 is a number, a string is needed (write it in quotes: "7")',
    ],
    [
      'a boolean for a string',
      container({ env: [{ name: 'A', value: true }] }),
      'spec.containers[0].env[0].value: true is a boolean, a string is needed (write it in quotes: "true")',
    ],
    [
      'a string for a number',
      pod({ terminationGracePeriodSeconds: '30' }),
      'spec.terminationGracePeriodSeconds: "30" is a string, a whole number is needed (write it without quotes: 30)',
    ],
    [
      'a fraction for a whole number',
      pod({ terminationGracePeriodSeconds: 1.5 }),
      'spec.terminationGracePeriodSeconds: 1.5 is not a whole number',
    ],
    [
      'a number beyond its type',
      { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 2 ** 31 } },
      'spec.replicas: 2147483648 is out of range (give a number from -2147483648 to 2147483647)',
    ],
    [
      'an object for a list',
      container({ command: { a: 'b' } }),
      'spec.containers[0].command: is an object, a list is needed (begin each item with "- ")',
    ],
    [
      'a list for a map',
      pod({ nodeSelector: ['a'] }),
      'spec.nodeSelector: is a list, a map of keys and values is needed',
    ],
    ['null in a list', container({ command: [null] }), 'spec.containers[0].command[0]: is nothing, a string is needed'],
    [
      'a bad quantity',
      container({ resources: { limits: { cpu: '1 core' } } }),
      'spec.containers[0].resources.limits[cpu]: "1 core" is not a quantity (write it as 250m, 1.5, 64Mi or 2G)',
    ],
    [
      'a bad time',
      { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', spec: { renewTime: '2026-02-31T00:00:00Z' } },
      'spec.renewTime: "2026-02-31T00:00:00Z" is not a time (write it as "2026-01-31T12:00:00Z" (RFC 3339))',
    ],
    [
      'bad base64',
      { apiVersion: 'v1', kind: 'ConfigMap', binaryData: { a: 'x' } },
      'binaryData[a]: "x" is not base64: illegal base64 data (encode it, or put plain text under data)',
    ],
    [
      'a boolean for a count or share',
      { apiVersion: 'apps/v1', kind: 'Deployment', spec: { strategy: { rollingUpdate: { maxSurge: true } } } },
      'spec.strategy.rollingUpdate.maxSurge: true is a boolean, a whole number or a string is needed',
    ],
    [
      'a bad label',
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { labels: { a: 'b c' } } },
      'metadata.labels[a]: "b c" is not a valid name (use letters, digits, "-", "_" and ".", beginning and ending with a letter or digit)',
    ],
    [
      'a bad key',
      { apiVersion: 'v1', kind: 'ConfigMap', data: { '../x': 'b' } },
      'data[../x]: the key would be a special file name (choose a key that is not "." and does not begin with "..")',
    ],
    [
      'a key that JavaScript keeps for itself',
      { apiVersion: 'v1', kind: 'ConfigMap', data: JSON.parse('{"__proto__": "b"}') as JsonObject },
      'data[__proto__]: the key is a reserved name (choose another key)',
    ],
    [
      'two items with one key',
      container({ env: [{ name: 'A' }, { name: 'B' }, { name: 'A' }] }),
      'spec.containers[0].env[2].name: is the second item with name "A" (the first is spec.containers[0].env[0]; keep one)',
    ],
    [
      'two items that defaults make the same',
      container({ ports: [{ containerPort: 1 }, { containerPort: 1, protocol: 'TCP' }] }),
      'spec.containers[0].ports[1]: is the second item with containerPort 1 and protocol "TCP" (the first is spec.containers[0].ports[0]; keep one)',
    ],
    [
      'what is not acted on',
      container({ volumeDevices: [{ name: 'v', devicePath: '/dev/v' }] }),
      'spec.containers[0].volumeDevices: Kubernetes has it, Gantry does not act on it yet (leave it out)',
    ],
    [
      'what is not acted on, with the reason',
      pod({ schedulerName: 'mine' }),
      'spec.schedulerName: Kubernetes has it, Gantry does not act on it yet: there is one scheduler (leave it out, or write default-scheduler)',
    ],
    [
      'a value that nobody has',
      pod({ dnsPolicy: 'clusterfirst' }),
      'spec.dnsPolicy: "clusterfirst" is not one of the values allowed (did you mean ClusterFirst? Allowed: ClusterFirst, ClusterFirstWithHostNet, Default, None)',
    ],
    [
      'a limit that is not held',
      container({ resources: { limits: { 'ephemeral-storage': '1Gi' }, requests: { 'ephemeral-storage': '1Gi' } } }),
      'spec.containers[0].resources.limits[ephemeral-storage]: Kubernetes has it, Gantry does not act on it yet (leave it out; a request is acted on)',
    ],
    [
      'another operating system',
      pod({ os: { name: 'windows' } }),
      'spec.os: Kubernetes has it, Gantry does not act on it yet: nodes run Linux (leave it out)',
    ],
  ]
  for (const [what, value, line] of refused) {
    it(`refuses ${what}`, () => assert.deepEqual(problems(value), [line]))
  }

  it('accepts values that ask an unsupported field for nothing', () => {
    assert.deepEqual(
      problems(
        pod({
          affinity: {},
          dnsPolicy: 'Default',
          serviceAccountName: 'default',
          serviceAccount: '',
          priority: 0,
          hostUsers: true,
          schedulingGates: [],
          os: { name: 'linux' },
          nodeName: '',
          automountServiceAccountToken: false,
          enableServiceLinks: true,
          containers: [{ name: 'c', lifecycle: {}, ports: [{ containerPort: 1, hostPort: 0 }] }],
        }),
      ),
      [],
    )
  })

  it('says Unsupported only if that is all that is wrong', () => {
    const code = (value: JsonValue): string | undefined => {
      try {
        decodeJson(undefined, value)
      } catch (error) {
        return GantryError.from(error).code
      }
      return undefined
    }
    assert.equal(code(container({ volumeDevices: [{ name: 'v', devicePath: '/dev/v' }] })), 'Unsupported')
    assert.equal(code(container({ volumeDevices: [{ name: 'v', devicePath: '/dev/v' }], x: 1 })), 'InvalidArgument')
  })

  it('never shows a secret', () => {
    const lines = problems({
      apiVersion: 'v1',
      kind: 'Secret',
      data: { a: 'pässword' },
      stringData: { b: 12345, c: ['pässword'] },
    }).join()
    assert.match(
      lines,
      /data\[a\]: \(secret\) is not base64.*stringData\[b\]: is a number, a string is needed \(write it in quotes\)/,
    )
    assert.doesNotMatch(
      problems({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's' },
        data: 'hunter2',
        stringData: 'hunter3',
      }).join('\n'),
      /hunter/,
    )
    assert.doesNotMatch(lines, /pässword|12345/)
  })

  it('drops what only the control plane writes, where asked to', () => {
    const value = {
      ...pod({ containers: [] }),
      metadata: {
        name: 'p',
        uid: 'u',
        generation: 3,
        resourceVersion: '7',
        creationTimestamp: null,
        labels: { a: 'b' },
      },
      status: { phase: 'Running' },
    }
    const dropped = decodeJson('Pod', value, { dropReadOnly: true })
    assert.deepEqual(dropped.metadata, { name: 'p', namespace: '', uid: '', resourceVersion: '7', labels: { a: 'b' } })
    assert.deepEqual(dropped.status, {})
    const kept = decodeJson('Pod', value)
    assert.deepEqual([kept.metadata.uid, kept.metadata.generation, kept.status.phase], ['u', 3, 'Running'])
    assert.throws(
      () => decodeJson('Pod', { ...value, status: { phase: 3 } }, { dropReadOnly: true }),
      /status.phase: 3 is a number, a string is needed/,
    )
  })

  it('leaves it to validateStatus whether the values of a status are allowed', () => {
    const status = {
      phase: 'Fine',
      conditions: [
        { type: 'A', status: 'Yes' },
        { type: 'A', status: 'True' },
      ],
      podIP: 'here',
    }
    assert.deepEqual(decodeJson('Pod', { ...pod({ containers: [] }), status }).status, status)
  })

  it('brings times and base64 into one form', () => {
    const lease = decodeJson('Lease', { metadata: { name: 'l' }, spec: { renewTime: '2026-01-01T02:00:00.5+01:00' } })
    assert.equal(lease.spec.renewTime, '2026-01-01T01:00:00.500000Z')
    const secret = decodeJson('Secret', {
      metadata: { name: 's', creationTimestamp: '2026-01-01T02:00:00.9+01:00' },
      data: { a: 'aGVs\nbG8=\n' },
    })
    assert.deepEqual([secret.data, secret.metadata.creationTimestamp], [{ a: 'aGVsbG8=' }, '2026-01-01T01:00:00Z'])
  })
})

describe('encodeJson', () => {
  it('writes apiVersion, kind, metadata, spec, status in that order and leaves out what was only filled in', () => {
    const json = encodeJson(
      decodeJson(undefined, {
        status: { phase: 'Running' },
        spec: { volumes: [{ emptyDir: {}, name: 'v' }], containers: [] },
        metadata: { labels: {}, name: 'p' },
        kind: 'Pod',
        apiVersion: 'v1',
      }),
    )
    assert.equal(
      JSON.stringify(json),
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"volumes":[{"name":"v","emptyDir":{}}]},"status":{"phase":"Running"}}',
    )
  })

  const name = fc.stringMatching(/^[a-z]([a-z0-9]{0,8}[a-z0-9])?$/)
  const maybe = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined })
  const unique = <T>(values: fc.Arbitrary<T>, key: (value: T) => unknown): fc.Arbitrary<T[]> =>
    fc.uniqueArray(values, { selector: key, minLength: 1, maxLength: 3 })
  const labels = fc.dictionary(name, fc.stringMatching(/^[A-Za-z0-9]{0,8}$/), { minKeys: 1, maxKeys: 3 })
  const containers = unique(
    fc.record({
      name,
      image: name,
      command: maybe(fc.array(fc.string(), { minLength: 1, maxLength: 3 })),
      env: maybe(unique(fc.record({ name, value: maybe(fc.string()) }), (item) => item.name)),
      ports: maybe(
        unique(
          fc.record({ containerPort: fc.integer({ min: 1, max: 65535 }), protocol: fc.constantFrom('TCP', 'UDP') }),
          (item) => item.containerPort,
        ),
      ),
      resources: maybe(
        fc.record({
          limits: fc.record({ cpu: fc.constantFrom('100m', '2', '1e3'), memory: fc.constantFrom('64Mi', '1G') }),
        }),
      ),
      tty: maybe(fc.boolean()),
    }),
    (item) => item.name,
  )
  const deployments = fc
    .record({
      apiVersion: fc.constant('apps/v1'),
      kind: fc.constant('Deployment'),
      metadata: fc.record({
        name,
        namespace: name,
        labels: maybe(labels),
        annotations: maybe(fc.dictionary(name, fc.string(), { minKeys: 1 })),
        creationTimestamp: maybe(fc.constant('2026-01-01T00:00:00Z')),
      }),
      spec: fc.record({
        replicas: maybe(fc.nat(1000)),
        paused: maybe(fc.boolean()),
        selector: fc.record({ matchLabels: labels }),
        strategy: maybe(
          fc.record({
            type: fc.constant('RollingUpdate'),
            rollingUpdate: fc.record({ maxSurge: fc.oneof(fc.nat(9), fc.constant('25%')) }),
          }),
        ),
        template: fc.record({
          metadata: fc.record({ labels }),
          spec: fc.record({
            containers,
            nodeSelector: maybe(labels),
            volumes: maybe(unique(fc.record({ name, configMap: fc.record({ name }) }), (item) => item.name)),
          }),
        }),
      }),
    })
    .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject)

  it('is the inverse of decodeJson, directly and by way of bytes', () => {
    fc.assert(
      fc.property(deployments, (json) => {
        const object = decodeJson('Deployment', json)
        assert.deepEqual(encodeJson(object), json)
        assert.deepEqual(encodeJson(decodeResource('Deployment', encodeResource(object))), json)
        assert.deepEqual(decodeResource('Deployment', encodeResource(object)), object)
      }),
      { numRuns: 60 },
    )
  })

  it('never fails on any JSON: there is an object or there are problems', () => {
    const scramble = fc
      .tuple(deployments, fc.array(fc.nat(), { maxLength: 8 }), fc.jsonValue())
      .map(([json, steps, value]) => replaceSomewhere(json, steps, value as JsonValue))
    fc.assert(
      fc.property(scramble, (json) => {
        const { object, problems: found } = inspectJson(undefined, json)
        if (found.length === 0) assert.doesNotThrow(() => encodeResource(object!))
      }),
      { numRuns: 100 },
    )
  })
})
