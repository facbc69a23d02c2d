import assert from 'node:assert/strict'
import { integer, listOf, mapOf, oneOf, parseConfig, section, text, withDefault, type Settings } from '../../proto/api/config-file.ts'
import { GantryError } from '../../proto/api/errors.ts'

interface Example {
  name: string
  mode: 'fast' | 'safe'
  ports: readonly number[]
  labels: Readonly<Record<string, string>>
  tls: { ca: string } | undefined
}

const SETTINGS: Settings<Example> = {
  name: text,
  mode: withDefault(oneOf('fast', 'safe'), 'safe'),
  ports: withDefault(listOf(integer), []),
  labels: withDefault(mapOf(text), {}),
  tls: withDefault(section<{ ca: string }>({ ca: text }), undefined),
}

describe('config file', () => {
  it('reads what is there and fills in the rest', () => {
    assert.deepEqual(parseConfig('name: a\nports: [1, 2]\nlabels: {x: y}\ntls:\n  ca: /ca.crt\n', 'f.yaml', SETTINGS), { name: 'a', mode: 'safe', ports: [1, 2], labels: { x: 'y' }, tls: { ca: '/ca.crt' } })
    assert.deepEqual(parseConfig('name: a', 'f.yaml', SETTINGS), { name: 'a', mode: 'safe', ports: [], labels: {}, tls: undefined })
  })

  const bad: [string, string, RegExp][] = [
    ['an unknown setting', 'name: a\nprots: [1]\n', /^f\.yaml:2:1: prots is not a setting, did you mean "ports"\?$/],
    ['a nested unknown setting', 'name: a\ntls:\n  ca: x\n  kee: y\n', /^f\.yaml:4:3: tls\.kee is not a setting/],
    ['a missing setting', 'mode: fast\n', /^f\.yaml:1:1: name is missing$/],
    ['a wrong type', 'name: a\nports: [1, two]\n', /^f\.yaml:2:12: ports\[1\] must be a whole number$/],
    ['a value that is not allowed', 'name: a\nmode: quick\n', /^f\.yaml:2:7: mode must be one of fast, safe$/],
    ['broken YAML', 'name: [a\n', /^f\.yaml:2:1: /],
    ['a duplicate key', 'name: a\nname: b\n', /^f\.yaml:2:1: Map keys must be unique/],
    ['an empty file', '', /^f\.yaml:1:1: +must be a map$/],
  ]
  for (const [what, content, message] of bad) {
    it(`refuses ${what} with its place`, () => {
      assert.throws(() => parseConfig(content, 'f.yaml', SETTINGS), (error) => GantryError.is(error, 'InvalidArgument') && message.test(error.message) || assert.fail(String(error)))
    })
  }
})
