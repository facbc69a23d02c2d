import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formats, type Format } from '../../../proto/base/format.ts'
import { editDistance, nearest } from '../../../proto/base/nearest.ts'
import { entryPath, fieldPath, pathSteps } from '../../../proto/base/path.ts'
import { formatMicroTime, formatTime, parseTime } from '../../../proto/base/time.ts'

describe('format', () => {
  const table: [keyof typeof formats, (string | number)[], (string | number)[]][] = [
    ['dnsLabel', ['a', 'a-1', '0a', 'a'.repeat(63)], ['', 'A', '-a', 'a-', 'a.b', 'a_b', 'a'.repeat(64), 'é']],
    ['dnsSubdomain', ['a.b-c', 'a', '1.2'], ['a..b', '.a', 'a.', 'A.b', 'a'.repeat(254)]],
    [
      'labelKey',
      ['a', 'A_b.c', 'example.com/a', '1'],
      ['', '/a', 'a/', 'a/b/c', 'Example.com/a', 'a b', '-a', 'a'.repeat(64)],
    ],
    ['labelValue', ['', 'a', 'A.b_c-d'], ['a b', '-', 'a'.repeat(64), 'a/b']],
    ['finalizer', ['kubernetes', 'foregroundDeletion', 'example.com/x'], ['x', '', 'a b/c']],
    ['resourceName', ['cpu', 'memory', 'ephemeral-storage', 'example.com/gpu'], ['gpu', 'hugepages-2Mi', '']],
    ['configKey', ['a', '.a', 'a.b-c_D', 'a..b'], ['', '.', '..', '..a', 'a/b', 'a b', 'a'.repeat(254)]],
    ['portName', ['http', 'a-1', 'x'.repeat(15)], ['', '80', 'Http', 'a--b', '-a', 'x'.repeat(16)]],
    ['countOrPercent', [0, 3, '0%', '150%'], [-1, '3', '%', '1.5%', '-1%', '']],
    ['absolutePath', ['/', '/a/b', '/a..b'], ['', 'a', '/a/../b', '/..']],
    ['mountPath', ['/a'], ['/a:b', 'a']],
    ['relativePath', ['a', 'a/b', '..a'], ['/a', '..', 'a/..', '../a']],
    [
      'envName',
      ['A', '_a', 'a.b-c', '1A', 'a b', '~!@#$%^&*()_+-/', 'x'.repeat(300)],
      ['', 'a=b', 'ü', 'a\tb', 'a\x7f'],
    ],
    ['envPrefix', ['', '1', 'a b!'], ['=', 'ü', '\n']],
    [
      'sysctlName',
      ['net.core.somaxconn', 'kernel.shm_rmid_forced', 'net/ipv4/ip_forward'],
      ['', 'Net.x', 'net..x', 'net.'],
    ],
    ['capability', ['NET_ADMIN', 'ALL', 'CAP_SYS_TIME'], ['net_admin', '']],
    ['image', ['busybox', 'a.b:5000/c/d:1.2', ':a', 'INVALID ?', `a@sha256:${'0'.repeat(64)}`], ['', ' a', 'a\n']],
    ['ip', ['10.0.0.1', '::1'], ['10.0.0', 'localhost', '']],
    ['port', [1, 65535], [0, 65536, -1]],
    ['fileMode', [0, 0o777], [-1, 0o1000]],
    ['userId', [0, 2 ** 31 - 1], [-1, 2 ** 31]],
    ['nonNegative', [0, 5], [-1]],
    ['positive', [1], [0]],
  ]
  for (const [name, right, wrong] of table) {
    it(name, () => {
      const format: Format = formats[name]
      for (const value of right) assert.equal(format(value), undefined, `${value} is right`)
      for (const value of wrong) {
        const flaw = format(value)
        assert(flaw !== undefined && flaw.message !== '' && flaw.remedy !== '', `${value} is wrong`)
      }
    })
  }
})

describe('nearest', () => {
  const fields = ['containers', 'initContainers', 'volumes', 'hostPID', 'image', 'env', 'envFrom', 'ports']
  const table: [string, string | undefined][] = [
    ['container', 'containers'],
    ['Containers', 'containers'],
    ['volume', 'volumes'],
    ['hostPid', 'hostPID'],
    ['img', 'image'],
    ['prots', 'ports'],
    ['zzz', undefined],
    ['', undefined],
  ]
  for (const [word, meant] of table) {
    it(`takes ${JSON.stringify(word)} for ${meant ?? 'nothing'}`, () => assert.equal(nearest(word, fields), meant))
  }

  it('measures a distance: symmetric, zero for the same, at most one an edit', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), fc.nat(8), (a, b, at) => {
        assert.equal(editDistance(a, a), 0)
        assert.equal(editDistance(a, b), editDistance(b, a))
        assert.equal(editDistance(a, `${a.slice(0, at)}x${a.slice(at)}`), 1)
        assert.equal(editDistance(a, b, 2), Math.min(2, editDistance(a, b)))
      }),
    )
    assert.equal(editDistance('ab', 'ba'), 1)
  })
})

describe('path', () => {
  it('names fields, items and entries, and is read back', () => {
    const path = entryPath(fieldPath(entryPath(fieldPath('spec', 'containers'), 0), 'limits'), 'example.com/gpu')
    assert.equal(path, 'spec.containers[0].limits[example.com/gpu]')
    assert.deepEqual(pathSteps(path), ['spec', 'containers', '0', 'limits', 'example.com/gpu'])
    assert.deepEqual(pathSteps(''), [])
    assert.equal(fieldPath('', 'spec'), 'spec')
  })
})

describe('time', () => {
  it('is written as it is read', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), (date) => {
        assert.equal(parseTime(formatMicroTime(date.getTime())), date.getTime())
        assert.equal(parseTime(formatTime(date.getTime())), Math.floor(date.getTime() / 1000) * 1000)
      }),
    )
  })

  for (const text of [
    '2026-02-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-01-01 00:00:00Z',
    '2026-01-01T25:00:00Z',
    '2026-01-01T24:00:00Z',
    '',
  ]) {
    it(`refuses "${text}"`, () => assert.throws(() => parseTime(text), /is not a time in RFC 3339 form/))
  }
})
