import assert from 'node:assert/strict'
import { parseSinglePath, parseTemplate, renderTemplate } from '../../../proto/base/jsonpath/jsonpath.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'

const PODS: JsonValue = {
  kind: 'List',
  items: [
    {
      metadata: { name: 'a', labels: { 'example.com/role': 'x' } },
      status: { phase: 'Running', restarts: 3 },
      spec: {
        containers: [
          { name: 'm', image: 'one' },
          { name: 's', image: 'two' },
        ],
      },
    },
    {
      metadata: { name: 'b' },
      status: { phase: 'Pending', restarts: 12 },
      spec: { containers: [{ name: 'm', image: 'three' }] },
    },
  ],
}

describe('jsonpath', () => {
  for (const [template, text] of [
    ['{.kind}', 'List'],
    ['{.items[*].metadata.name}', 'a b'],
    ['{.items[0].metadata.name}', 'a'],
    ['{.items[-1].metadata.name}', 'b'],
    ['{.items[-1:].metadata.name}', 'b'],
    ['{.items[0:1].metadata.name}', 'a'],
    ['{.items[0,1].metadata.name}', 'a b'],
    ["{.items[*]['metadata']['name']}", 'a b'],
    ['{.items[*].metadata[\'name\', "labels"]}', 'a {"example.com/role":"x"} b'],
    ['{.items[0].metadata.labels.example\\.com/role}', 'x'],
    ['{..image}', 'one two three'],
    ['{$.items[0].status}', '{"phase":"Running","restarts":3}'],
    ['{.items[?(@.status.phase=="Running")].metadata.name}', 'a'],
    ['{.items[?(@.status.phase!="Running")].metadata.name}', 'b'],
    ['{.items[?(@.status.restarts>4)].metadata.name}', 'b'],
    ['{.items[?(@.metadata.labels)].metadata.name}', 'a'],
    ['{range .items[*]}{.metadata.name}{"\\t"}{.status.phase}{"\\n"}{end}', 'a\tRunning\nb\tPending\n'],
    ['{range .items[*]}{range .spec.containers[*]}{.name}:{.image} {end}{end}', 'm:one s:two m:three '],
    ['pods: {.items[*].metadata.name}.', 'pods: a b.'],
    ['{.nothing.at.all}', ''],
    ['{"}"}', '}'],
    ['.items[0].metadata.name', 'a'],
    ['kind', 'List'],
  ] as const)
    it(`renders ${template}`, () => assert.equal(renderTemplate(parseTemplate(template), PODS), text))

  for (const [template, message] of [
    ['{.items[0}', /character 9: expected "\]"/],
    ['{.items[?(@.x==)]}', /character 15: expected/],
    ['{range .items[*]}{.a}', /\{range\} has no \{end\}/],
    ['{end}', /ends no \{range\}/],
    ['{.a', /character 1 is not closed/],
    ['{.a b}', /expected the end, found "b"/],
  ] as const)
    it(`refuses ${template}`, () => assert.throws(() => parseTemplate(template), message))

  it('takes a single path with or without braces', () => {
    assert.deepEqual(parseSinglePath('{.a.b}'), parseSinglePath('.a.b'))
    assert.throws(() => parseSinglePath('{.a}{.b}'), /is not one path/)
  })
})
