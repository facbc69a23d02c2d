import assert from 'node:assert/strict'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { GantryError } from '../../../proto/base/errors.ts'
import { parseManifests } from '../../../proto/codec/manifest.ts'
import { readYaml } from '../../../proto/codec/yaml.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'

/** The lines of the error that a text is refused with. */
function refusal(text: string): string[] {
  try {
    parseManifests(text, 'web.yaml')
  } catch (error) {
    assert(error instanceof GantryError)
    assert.equal(error.details.length, error.message.split('\n').length)
    return error.message.split('\n')
  }
  return []
}

const podHead = 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n'

describe('parseManifests', () => {
  it('reads several documents, skips empty ones, and keeps each as it was written', () => {
    const documents = parseManifests(
      `---
# nothing but a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  greeting: "hello"
---
apiVersion: v1
kind: Namespace
metadata: {name: b}
...
---
`,
      'web.yaml',
    )
    assert.deepEqual(
      documents.map(({ kind, fileName }) => [kind, fileName]),
      [
        ['ConfigMap', 'web.yaml'],
        ['Namespace', 'web.yaml'],
      ],
    )
    assert.deepEqual(documents[0]!.json, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a' },
      data: { greeting: 'hello' },
    })
    assert.deepEqual(documents[0]!.at('data[greeting]'), { line: 8, column: 13 })
    assert.deepEqual(documents[1]!.at('metadata.name'), { line: 12, column: 18 })
    assert.deepEqual(documents[1]!.at('spec'), { line: 10, column: 1 })
  })

  it('reads JSON', () => {
    const documents = parseManifests(
      '{"apiVersion": "v1", "kind": "ConfigMap",\n\t"metadata": {"name": "a"}, "data": {"k": "\\u00e9"}}',
      'a.json',
    )
    assert.deepEqual(documents[0]!.json.data, { k: 'é' })
    assert.deepEqual(documents[0]!.at('data[k]'), { line: 2, column: 43 })
  })

  it('puts the items of a List in its place', () => {
    const documents = parseManifests(
      `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
- apiVersion: v1
  kind: ConfigMapList
  items:
  - apiVersion: v1
    kind: ConfigMap
    metadata:
      name: b
`,
      'web.yaml',
    )
    assert.deepEqual(
      documents.map(({ object }) => object.metadata.name),
      ['a', 'b'],
    )
    assert.deepEqual(documents[1]!.at('metadata.name'), { line: 13, column: 13 })
    assert.deepEqual(documents[1]!.at('data[x]'), { line: 10, column: 5 })
  })

  it("finds places: a scalar's value, a collection's key, and for what is missing the deepest part that is there", () => {
    const [document] = parseManifests(
      `${podHead}spec:\n  containers:\n  - name: c\n    image: busybox\n    env:\n    - {name: A, value: b}\n`,
      'web.yaml',
    )
    const at = (path: string): string => Object.values(document!.at(path)).join(':')
    assert.equal(at('spec.containers[0].image'), '7:12')
    assert.equal(at('spec.containers[0].env[0].value'), '9:24')
    assert.equal(at('spec.containers[0].env'), '8:5')
    assert.equal(at('spec.containers[0]'), '6:5')
    assert.equal(at('spec.containers[3].name'), '5:3')
    assert.equal(at('spec.containers[0].resources.limits[cpu]'), '6:5')
    assert.equal(at('status'), '1:1')
  })

  it('tells every problem of every document, in order, and nothing is taken', () => {
    assert.deepEqual(
      refusal(`apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  label: {x: y}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    image: busybox
    env:
    - name: PORT
      value: 8080
    - name: VERSION
      value: 1.10
    - name: PORT
      value: "1"
    volumeDevices:
    - {name: v, devicePath: /dev/v}
`),
      [
        'web.yaml:5:3: metadata.label: unknown field (did you mean labels?)',
        'web.yaml:16:14: spec.containers[0].env[0].value: 8080 is a number, a string is needed (write it in quotes: "8080")',
        'web.yaml:18:14: spec.containers[0].env[1].value: 1.10 is a number, a string is needed (write it in quotes: "1.10")',
        'web.yaml:19:13: spec.containers[0].env[2].name: is the second item with name "PORT" (the first is spec.containers[0].env[0]; keep one)',
        'web.yaml:21:5: spec.containers[0].volumeDevices: Kubernetes has it, Gantry does not act on it yet (leave it out)',
      ],
    )
  })

  const refused: [string, string, string][] = [
    [
      'a line that is no YAML',
      'kind: Pod\n  name: x\n',
      'web.yaml:1:7: nested mappings are not allowed in compact mappings',
    ],
    [
      'an open bracket',
      'a: [1,\n',
      'web.yaml:2:1: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'a line too far to the right, once',
      'a: b\n c: d\n',
      'web.yaml:1:4: nested mappings are not allowed in compact mappings',
    ],
    ['tabs that indent', 'a:\n\tb: 1\n', 'web.yaml:2:1: tabs are not allowed as indentation (indent with spaces)'],
    [
      'a duplicate key',
      `${podHead}spec:\n  hostPID: true\n  hostPID: false\n`,
      'web.yaml:6:3: spec.hostPID: the key hostPID stands here a second time (the first is at 5:3; keep one)',
    ],
    [
      'a key that is no plain value',
      `${podHead}? [a]\n: b\n`,
      'web.yaml:4:3: a key that is not a plain value (write a name before the colon)',
    ],
    [
      'an alias of nothing',
      `${podHead}spec: *base\n`,
      'web.yaml:4:7: spec: *base refers to nothing (mark what it refers to with &base)',
    ],
    [
      'an alias of what it stands in',
      `${podHead}spec: &a\n  volumes: [*a]\n`,
      'web.yaml:5:13: spec.volumes[0]: *a contains itself',
    ],
    [
      'a number that is not exact',
      'apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 12345678901234567890}\n',
      'web.yaml:3:18: spec.replicas: 12345678901234567890 is a number too large to be exact (write it in quotes if it is a string or a quantity)',
    ],
    [
      'infinity',
      'apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: .inf}\n',
      'web.yaml:3:18: spec.replicas: .inf is not a number that JSON has',
    ],
    ['a document that is no object', 'hello\n', 'web.yaml:1:1: hello is a string, an object is needed'],
    [
      'an unknown kind',
      'apiVersion: v1\nkind: Podd\n',
      'web.yaml:2:7: kind: "Podd" is not a known kind (did you mean Pod?)',
    ],
    [
      'a wrong version',
      '# first\napiVersion: v1\nkind: Deployment\n',
      'web.yaml:2:13: apiVersion: "v1" is not a version of Deployment that Gantry serves (write apiVersion: apps/v1)',
    ],
    [
      'no kind',
      '\n\nmetadata: {name: a}\napiVersion: v1\n',
      'web.yaml:3:1: kind is missing (say what it is, such as kind: Pod)',
    ],
    [
      'a missing space after the colon',
      `${podHead}spec:\n  nodeName:n1\n`,
      'web.yaml:5:3: spec: nodeName:n1 is a string, an object is needed',
    ],
    [
      "YAML 1.1's booleans for a boolean",
      `${podHead}spec: {hostPID: yes}\n`,
      'web.yaml:4:17: spec.hostPID: yes is a string, a boolean is needed (write true or false, without quotes)',
    ],
  ]
  for (const [what, text, line] of refused) {
    it(`refuses ${what}`, () => assert.deepEqual(refusal(text)[0], line))
  }

  it('refuses aliases that would become billions of values', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(10).fill(`*l${level}`).join(', ')}]`,
    )
    assert.match(
      refusal(`l0: &l0 [x]\n${levels.join('\n')}\n`)[0]!,
      /the document has more than 200000 values \(split it\)/,
    )
  })

  it('takes each alias for the last anchor before it, however many there are', () => {
    const [document] = readYaml('a: &x 1\nb: *x\nc: &x 2\nd: *x\n')
    assert.deepEqual(document!.value, { a: 1, b: 1, c: 2, d: 2 })
    // Looked up one by one, each from the beginning, they would take minutes.
    const [many] = readYaml(`a: &a 1\nb: [${Array(50_000).fill('*a').join(',')}]\n`)
    assert.equal((many!.value as { b: number[] }).b.filter((value) => value === 1).length, 50_000)
  })

  const deep: [string, string][] = [
    ['lists', '['.repeat(50_000)],
    ['objects', '{"a":'.repeat(3000)],
    ['blocks', '- '.repeat(3000)],
  ]
  for (const [what, text] of deep) {
    it(`refuses ${what} nested without end`, () =>
      assert.match(refusal(text).join(), /^web\.yaml:1:\d+: nested more than 100 levels deep$/))
  }

  it('takes what YAML 1.1 and Kubernetes take: octal modes, merged maps, words as strings, any scalar as a key', () => {
    const [document] = parseManifests(
      `apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: {1: "x", true: y}
  annotations: &base {a: "1", b: "2"}
spec:
  nodeSelector:
    <<: *base
    b: no
  volumes:
  - name: v
    configMap: {name: c, defaultMode: 0640}
  - name: w
    configMap: {name: c, defaultMode: 0o400}
`,
      'web.yaml',
    )
    assert(document?.object.kind === 'Pod')
    const { metadata, spec } = document.object
    assert.deepEqual(metadata.labels, { 1: 'x', true: 'y' })
    assert.deepEqual(spec.nodeSelector, { a: '1', b: 'no' })
    assert.deepEqual(
      spec.volumes?.map((volume) => volume.configMap?.defaultMode),
      [0o640, 0o400],
    )
  })

  it('says what a workload asks beyond what is acted on', () => {
    const hub = `apiVersion: apps/v1
kind: Deployment
metadata: {name: hub}
spec:
  selector: {matchLabels: {app: hub}}
  template:
    metadata: {labels: {app: hub}}
    spec:
      containers:
      - name: hub
        image: hub:4
        ports: [{containerPort: 4444}]
        volumeDevices:
        - {name: v, devicePath: /dev/v}
      volumes:
      - name: models
        persistentVolumeClaim: {claimName: models}
---
apiVersion: v1
kind: Service
metadata: {name: hub}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
`
    assert.deepEqual(refusal(hub), [
      'web.yaml:13:9: spec.template.spec.containers[0].volumeDevices: Kubernetes has it, Gantry does not act on it yet (leave it out)',
      'web.yaml:17:9: spec.template.spec.volumes[0].persistentVolumeClaim: Kubernetes has it, Gantry does not act on it yet (use hostPath, emptyDir, secret, downwardAPI, configMap or projected instead)',
      'web.yaml:24:7: kind: StatefulSet: Kubernetes has it, Gantry does not act on it yet (leave this object out)',
    ])
    assert.throws(
      () => parseManifests(hub, 'web.yaml'),
      (error) => GantryError.is(error, 'Unsupported'),
    )
  })

  it('gives back what was written, whatever its form in YAML', () => {
    const values = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}$/),
      fc.oneof(fc.string(), fc.constantFrom('yes', '0644', '1.10', 'null', '~', '- a', '#', 'a: b', 'true', '<<', '=')),
    )
    fc.assert(
      fc.property(
        values,
        fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
        fc.boolean(),
        (data, style, flow) => {
          const json: JsonObject = {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'a' },
            data: data as Record<string, JsonValue>,
          }
          const text = stringify(json, {
            defaultStringType: style as 'PLAIN',
            collectionStyle: flow ? 'flow' : 'block',
          })
          assert.deepEqual(
            parseManifests(text, 'a.yaml').map((document) => document.json),
            [JSON.parse(JSON.stringify(json))],
          )
          assert.deepEqual(
            parseManifests(JSON.stringify(json, undefined, 1), 'a.json').map((document) => document.json),
            [JSON.parse(JSON.stringify(json))],
          )
        },
      ),
      { numRuns: 100 },
    )
  })
})
