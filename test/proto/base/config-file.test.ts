import assert from 'node:assert/strict'
import {
  absolutePath,
  checked,
  count,
  format,
  hostPort,
  listOf,
  mapOf,
  oneOf,
  optional,
  parseConfig,
  port,
  quantity,
  readConfig,
  section,
  text,
  textOrEmpty,
  withDefault,
  type Override,
  type Settings,
} from '../../../proto/base/config-file.ts'
import { GantryError } from '../../../proto/base/errors.ts'

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
  ports: withDefault(listOf(port), []),
  labels: withDefault(mapOf(text), {}),
  tls: withDefault(section<{ ca: string }>({ ca: text }), undefined),
}

describe('config file', () => {
  it('reads what is there and fills in the rest', () => {
    assert.deepEqual(parseConfig('name: a\nports: [1, 2]\nlabels: {x: y}\ntls:\n  ca: /ca.crt\n', 'f.yaml', SETTINGS), {
      name: 'a',
      mode: 'safe',
      ports: [1, 2],
      labels: { x: 'y' },
      tls: { ca: '/ca.crt' },
    })
    assert.deepEqual(parseConfig('name: a', 'f.yaml', SETTINGS), {
      name: 'a',
      mode: 'safe',
      ports: [],
      labels: {},
      tls: undefined,
    })
  })

  const bad: [string, string, RegExp][] = [
    ['an unknown setting', 'name: a\nprots: [1]\n', /^f\.yaml:2:1: prots is not a setting, did you mean "ports"\?$/],
    ['a nested unknown setting', 'name: a\ntls:\n  ca: x\n  kee: y\n', /^f\.yaml:4:3: tls\.kee is not a setting/],
    ['a missing setting', 'mode: fast\n', /^f\.yaml:1:1: name is missing$/],
    ['a wrong type', 'name: a\nports: [1, two]\n', /^f\.yaml:2:12: ports\[1\] must be a port, 1 to 65535$/],
    ['a value that is not allowed', 'name: a\nmode: quick\n', /^f\.yaml:2:7: mode must be one of fast, safe$/],
    ['broken YAML', 'name: [a\n', /^f\.yaml:2:1: /],
    ['a duplicate key', 'name: a\nname: b\n', /^f\.yaml:2:1: Map keys must be unique/],
    ['an empty file', '', /^f\.yaml:1:1: name is missing$/],
    ['a file that is no map', '- a\n', /^f\.yaml:1:1: the file must be a map$/],
    [
      'a number for a text',
      'name: 5\n',
      /^f\.yaml:1:7: name must be text \(a number, true, false and null need quotes\)$/,
    ],
    ['a key without a value', 'name:\n', /^f\.yaml:1:6: name must be text/],
    ['a tag that means nothing', 'name: !!wrong a\n', /^f\.yaml:1:7: /],
    ['a second document', 'name: a\n---\nname: b\n', /^f\.yaml:2:1: /],
  ]
  for (const [what, content, message] of bad) {
    it(`refuses ${what} with its place`, () => {
      assert.throws(
        () => parseConfig(content, 'f.yaml', SETTINGS),
        (error) =>
          (GantryError.is(error, 'InvalidArgument') && message.test(error.message)) || assert.fail(String(error)),
      )
    })
  }
})

describe('rules of settings', () => {
  function problems(setting: Parameters<typeof optional>[0], value: unknown): string[] {
    try {
      parseConfig(JSON.stringify({ x: value }), 'f', { x: setting })
      return []
    } catch (thrown) {
      return (thrown as GantryError).message.split('\n')
    }
  }

  const good: [string, Parameters<typeof optional>[0], unknown][] = [
    ['a quantity', quantity, '500m'],
    ['an address', hostPort, 'h:1'],
    ['an IPv6 address', hostPort, '[fd00::1]:443'],
    ['a path', absolutePath, '/x'],
    ['a count', count(2), 2],
    ['a text that is empty', textOrEmpty, ''],
    ['a list with one', listOf(text, { least: 1 }), ['a']],
    ['a label', mapOf(checked(textOrEmpty, format('labelValue')), format('labelKey')), { 'example.com/a': 'b' }],
  ]
  for (const [what, setting, value] of good) it(`takes ${what}`, () => assert.deepEqual(problems(setting, value), []))

  const refused: [string, Parameters<typeof optional>[0], unknown, string][] = [
    ['what is no quantity', quantity, '4x', 'f:1:6: x must be a quantity, such as 500m or 2Gi'],
    ['an address without a port', hostPort, 'h', 'f:1:6: x must be HOST:PORT'],
    ['a port that there is not', hostPort, 'h:65536', 'f:1:6: x must be HOST:PORT'],
    ['a relative path', absolutePath, 'x', 'f:1:6: x must be an absolute path'],
    ['a number that is no port', port, 65_536, 'f:1:6: x must be a port, 1 to 65535'],
    ['too small a count', count(2), 1, 'f:1:6: x must be a whole number, 2 or more'],
    ['an empty list', listOf(text, { least: 1 }), [], 'f:1:6: x must not be empty'],
    ['an empty text', text, '', 'f:1:6: x must be text (a number, true, false and null need quotes)'],
    [
      'a name in a map',
      mapOf(text, format('labelKey')),
      { 'a/b/c': 'd' },
      'f:1:7: x.a/b/c has more than one "/": write NAME or DNS-PREFIX/NAME',
    ],
  ]
  for (const [what, setting, value, problem] of refused)
    it(`refuses ${what}`, () => assert.deepEqual(problems(setting, value), [problem]))

  it("keeps a map's key that objects have a meaning for", () => {
    const { x } = parseConfig('x: { __proto__: a }', 'f', { x: mapOf(text) })
    assert.deepEqual(Object.entries(x), [['__proto__', 'a']])
  })
})

describe('flags over a file', () => {
  const override = (flag: string, value: Override['value'], ...path: string[]): Override => ({ flag, path, value })

  it('win over what the file says, also within a section', () => {
    assert.deepEqual(
      parseConfig('name: a\nports: [1]\ntls: { ca: /old }\n', 'f', SETTINGS, [
        override('--name', 'b', 'name'),
        override('--tls-ca', '/new', 'tls', 'ca'),
      ]),
      { name: 'b', mode: 'safe', ports: [1], labels: {}, tls: { ca: '/new' } },
    )
  })

  it('do without a file, and make the section that they are in', async () => {
    assert.deepEqual(
      await readConfig(undefined, SETTINGS, [
        override('--name', 'b', 'name'),
        override('--tls-ca', '/ca', 'tls', 'ca'),
      ]),
      { name: 'b', mode: 'safe', ports: [], labels: {}, tls: { ca: '/ca' } },
    )
    await assert.rejects(
      readConfig(undefined, SETTINGS),
      (error) => GantryError.is(error, 'InvalidArgument') && error.message === 'command line:1:1: name is missing',
    )
  })

  it('are held to the same rules, and named', () => {
    const settings: Settings<{ mode: 'fast' | 'safe'; peers: readonly string[] }> = {
      mode: oneOf('fast', 'safe'),
      peers: listOf(hostPort),
    }
    assert.throws(
      () =>
        parseConfig('', 'f', settings, [
          override('--mode', 'quick', 'mode'),
          override('--peer', ['h:1', 'h'], 'peers'),
        ]),
      (error) =>
        GantryError.is(error, 'InvalidArgument') &&
        error.message === '--mode: must be one of fast, safe\n--peer: must be HOST:PORT',
    )
  })

  it('do not hide that the file is wrong', () => {
    assert.throws(
      () => parseConfig('name: a\ntls: 5\n', 'f', SETTINGS, [override('--tls-ca', '/ca', 'tls', 'ca')]),
      /^GantryError: f:2:6: tls must be a map$/,
    )
    assert.throws(
      () => parseConfig('- a', 'f', SETTINGS, [override('--name', 'b', 'name')]),
      /f:1:1: the file must be a map$/,
    )
  })

  it('say when there is no such file', async () => {
    await assert.rejects(
      readConfig('/nonexistent/f.yaml', SETTINGS),
      (error) => GantryError.is(error, 'NotFound') && error.message.includes('/nonexistent/f.yaml'),
    )
  })
})
