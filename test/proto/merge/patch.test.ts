import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../../proto/merge/patch.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'

function refuses(
  call: () => unknown,
  message: RegExp,
  code: 'InvalidArgument' | 'FailedPrecondition' | 'ResourceExhausted' = 'InvalidArgument',
): void {
  assert.throws(call, (error) => GantryError.is(error, code) && message.test(error.message))
}

describe('merge patch', () => {
  // The examples of RFC 7386, appendix A.
  const table: [JsonValue, JsonValue, JsonValue][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]
  for (const [target, patch, expected] of table) {
    it(`${JSON.stringify(target)} with ${JSON.stringify(patch)}`, () =>
      assert.deepEqual(applyMergePatch(target, patch), expected))
  }

  it('takes __proto__ for a name like others', () => {
    const result = applyMergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}') as JsonValue) as JsonObject
    assert.equal(JSON.stringify(result), '{"__proto__":{"polluted":true}}')
    assert.equal((result as { polluted?: boolean }).polluted, undefined)
  })
})

describe('JSON patch', () => {
  // Most are the examples of RFC 6902, appendix A.
  const table: [string, JsonValue, JsonValue, JsonValue][] = [
    ['adds a member', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [
      'adds an item',
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    ['adds at the end', { foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc'] }], { foo: ['bar', ['abc']] }],
    ['removes a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    ['removes an item', { foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    [
      'replaces',
      { baz: 'qux', foo: 'bar' },
      [{ op: 'replace', path: '/baz', value: 'boo' }],
      { baz: 'boo', foo: 'bar' },
    ],
    [
      'replaces an item in its place',
      { foo: [1, 2, 3] },
      [{ op: 'replace', path: '/foo/2', value: 9 }],
      { foo: [1, 2, 9] },
    ],
    ['replaces the whole', { a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
    [
      'moves a member',
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      'moves an item',
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      'copies',
      { a: { b: [1] } },
      [
        { op: 'copy', from: '/a/b', path: '/c' },
        { op: 'add', path: '/c/-', value: 2 },
      ],
      { a: { b: [1] }, c: [1, 2] },
    ],
    [
      'tests',
      { baz: 'qux', foo: ['a', 2, 'c'] },
      [
        { op: 'test', path: '/baz', value: 'qux' },
        { op: 'test', path: '/foo/1', value: 2 },
      ],
      { baz: 'qux', foo: ['a', 2, 'c'] },
    ],
    [
      'reads ~0 and ~1',
      { '/': 9, '~1': 10 },
      [
        { op: 'replace', path: '/~01', value: 11 },
        { op: 'replace', path: '/~1', value: 8 },
      ],
      { '/': 8, '~1': 11 },
    ],
  ]
  for (const [what, target, patch, expected] of table) {
    it(what, () => {
      const before = structuredClone(target)
      assert.deepEqual(applyJsonPatch(target, patch), expected)
      assert.deepEqual(target, before)
    })
  }

  it('names the operation that fails, and its path', () => {
    refuses(
      () =>
        applyJsonPatch({ a: 1 }, [
          { op: 'test', path: '/a', value: 1 },
          { op: 'remove', path: '/b' },
        ]),
      /patch operation 1 remove \/b: "b" does not exist/,
    )
    refuses(
      () => applyJsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }]),
      /expected 2, found 1/,
      'FailedPrecondition',
    )
    refuses(() => applyJsonPatch({ a: [] }, [{ op: 'add', path: '/a/1', value: 1 }]), /beyond the end/)
    refuses(() => applyJsonPatch({ a: [1] }, [{ op: 'add', path: '/a/01', value: 1 }]), /not a place in a list/)
    refuses(() => applyJsonPatch({ a: {} }, [{ op: 'move', from: '/a', path: '/a/b' }]), /into itself/)
    refuses(() => applyJsonPatch({}, [{ op: 'increase', path: '/a' }]), /unknown op/)
    refuses(() => applyJsonPatch({}, [{ op: 'add', path: 'a', value: 1 }]), /not a JSON pointer/)
    refuses(() => applyJsonPatch({}, [{ op: 'add', path: '/a' }]), /needs a "value"/)
    refuses(() => applyJsonPatch({}, ['add']), /is not an object/)
    refuses(() => applyJsonPatch({}, {}), /list of operations/)
  })
})

describe('a JSON patch that grows', () => {
  it('is refused before it takes all memory', () => {
    const doubling = Array.from({ length: 64 }, (_, index) => ({ op: 'copy', from: '', path: `/copy${index}` }))
    refuses(() => applyJsonPatch({ a: 'x' }, doubling), /copies more than/, 'ResourceExhausted')
  })
})

describe('strategic patch', () => {
  const container = (name: string, more: JsonObject = {}): JsonObject => ({ name, image: `${name}:1`, ...more })
  const pod = (spec: JsonObject): JsonObject => ({ kind: 'Pod', spec })
  const table: [string, JsonObject, JsonObject, JsonObject][] = [
    [
      'merges items by key, with new ones after those that they are named after',
      { containers: [container('a'), container('b')] },
      { containers: [{ name: 'b', image: 'b:2' }, container('c')] },
      { containers: [container('a'), container('b', { image: 'b:2' }), container('c')] },
    ],
    [
      'puts an item that comes alone first',
      { containers: [container('a'), container('b')] },
      { containers: [container('c')] },
      { containers: [container('c'), container('a'), container('b')] },
    ],
    [
      'leaves those that are not named where they are',
      { containers: [container('a'), container('b'), container('c')] },
      {
        containers: [
          { name: 'c', image: 'c:2' },
          { name: 'b', image: 'b:2' },
        ],
      },
      { containers: [container('a'), container('c', { image: 'c:2' }), container('b', { image: 'b:2' })] },
    ],
    [
      'deletes an item',
      { containers: [container('a'), container('b')] },
      { containers: [{ $patch: 'delete', name: 'a' }] },
      { containers: [container('b')] },
    ],
    [
      'replaces a list',
      { containers: [container('a'), container('b')] },
      { containers: [{ $patch: 'replace' }, container('c')] },
      { containers: [container('c')] },
    ],
    [
      'replaces an object',
      { securityContext: { runAsUser: 1, runAsGroup: 2 } },
      { securityContext: { $patch: 'replace', runAsUser: 3 } },
      { securityContext: { runAsUser: 3 } },
    ],
    ['deletes an object', { securityContext: { runAsUser: 1 } }, { securityContext: { $patch: 'delete' } }, {}],
    [
      'removes by null',
      { nodeSelector: { a: '1', b: '2' } },
      { nodeSelector: { a: null } },
      { nodeSelector: { b: '2' } },
    ],
    [
      'replaces a list without keys',
      { containers: [container('a', { args: ['x', 'y'] })] },
      { containers: [{ name: 'a', args: ['z'] }] },
      { containers: [container('a', { args: ['z'] })] },
    ],
    [
      'adds two ports of one number',
      { containers: [container('a')] },
      {
        containers: [
          {
            name: 'a',
            ports: [
              { containerPort: 53, protocol: 'TCP' },
              { containerPort: 53, protocol: 'UDP' },
            ],
          },
        ],
      },
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 53, protocol: 'TCP' },
              { containerPort: 53, protocol: 'UDP' },
            ],
          }),
        ],
      },
    ],
    [
      'finds a port by its number alone',
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 53, protocol: 'UDP' },
              { containerPort: 80, protocol: 'TCP' },
            ],
          }),
        ],
      },
      {
        containers: [
          {
            name: 'a',
            ports: [
              { containerPort: 53, name: 'dns' },
              { $patch: 'delete', containerPort: 80 },
            ],
          },
        ],
      },
      { containers: [container('a', { ports: [{ containerPort: 53, protocol: 'UDP', name: 'dns' }] })] },
    ],
    [
      'tells ports of one number apart where it can',
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 53, protocol: 'UDP' },
              { containerPort: 53, protocol: 'TCP' },
            ],
          }),
        ],
      },
      {
        containers: [
          {
            name: 'a',
            ports: [
              { containerPort: 53, protocol: 'TCP', name: 'dns' },
              { $patch: 'delete', containerPort: 53, protocol: 'UDP' },
            ],
          },
        ],
      },
      { containers: [container('a', { ports: [{ containerPort: 53, protocol: 'TCP', name: 'dns' }] })] },
    ],
    [
      'changes the protocol of a port',
      { containers: [container('a', { ports: [{ containerPort: 53, protocol: 'TCP' }] })] },
      {
        containers: [
          {
            name: 'a',
            '$setElementOrder/ports': [{ containerPort: 53 }],
            ports: [{ containerPort: 53, protocol: 'UDP' }],
          },
        ],
      },
      { containers: [container('a', { ports: [{ containerPort: 53, protocol: 'UDP' }] })] },
    ],
    [
      'orders ports by their number',
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 53, protocol: 'UDP' },
              { containerPort: 80, protocol: 'TCP' },
            ],
          }),
        ],
      },
      { containers: [{ name: 'a', '$setElementOrder/ports': [{ containerPort: 80 }, { containerPort: 53 }] }] },
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 80, protocol: 'TCP' },
              { containerPort: 53, protocol: 'UDP' },
            ],
          }),
        ],
      },
    ],
    [
      'finds a port by its default protocol',
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 80, protocol: 'TCP' },
              { containerPort: 80, protocol: 'UDP' },
            ],
          }),
        ],
      },
      { containers: [{ name: 'a', ports: [{ containerPort: 80, name: 'web' }] }] },
      {
        containers: [
          container('a', {
            ports: [
              { containerPort: 80, protocol: 'TCP', name: 'web' },
              { containerPort: 80, protocol: 'UDP' },
            ],
          }),
        ],
      },
    ],
    [
      'keeps only what $retainKeys lists',
      { volumes: [{ name: 'v', emptyDir: {} }] },
      { volumes: [{ name: 'v', hostPath: { path: '/x' }, $retainKeys: ['name', 'hostPath'] }] },
      { volumes: [{ name: 'v', hostPath: { path: '/x' } }] },
    ],
    [
      'orders by $setElementOrder',
      { containers: [container('a'), container('b')] },
      { '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }], containers: [container('c')] },
      { containers: [container('c'), container('b'), container('a')] },
    ],
  ]
  for (const [what, target, patch, expected] of table) {
    it(what, () => {
      const before = structuredClone(target)
      assert.deepEqual(applyStrategicPatch('Pod', pod(target), pod(patch)), pod(expected))
      assert.deepEqual(target, before)
    })
  }

  it('joins a set and deletes from it', () => {
    const object = { metadata: { finalizers: ['a', 'b'] } }
    assert.deepEqual(applyStrategicPatch('Pod', object, { metadata: { finalizers: ['b', 'c'] } }), {
      metadata: { finalizers: ['a', 'b', 'c'] },
    })
    assert.deepEqual(applyStrategicPatch('Pod', object, { metadata: { finalizers: ['c'] } }), {
      metadata: { finalizers: ['c', 'a', 'b'] },
    })
    assert.deepEqual(
      applyStrategicPatch('Pod', object, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }),
      { metadata: { finalizers: ['b'] } },
    )
  })

  it('names the field of what it cannot follow', () => {
    refuses(
      () => applyStrategicPatch('Pod', {}, pod({ containers: [{ image: 'x' }] })),
      /patch at spec.containers\[0\].name: is needed to find the item/,
    )
    refuses(
      () => applyStrategicPatch('Pod', {}, pod({ $patch: 'erase' })),
      /spec.\$patch: "erase" is not replace, delete or merge/,
    )
    refuses(() => applyStrategicPatch('Pod', {}, pod({ '$setOrder/x': [] })), /no such directive/)
    refuses(() => applyStrategicPatch('Pod', {}, [] as JsonValue), /is an object/)
  })

  it('is the same the second time', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'))
    const spec = fc
      .tuple(names, fc.integer({ min: 1, max: 3 }))
      .map(([list, tag]) => pod({ containers: list.map((name) => container(name, { image: `${name}:${tag}` })) }))
    fc.assert(
      fc.property(spec, spec, (target, patch) => {
        const once = applyStrategicPatch('Pod', target, patch)
        assert.deepEqual(applyStrategicPatch('Pod', once, patch), once)
      }),
    )
  })
})
