import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { checkedLineWord, checkedPathSegment } from '../../../agent/host/safe-text.ts'
import { hostsFile } from '../../../agent/pods/steps/pod-files.ts'
import { podResolvConf } from '../../../agent/pods/steps/resolv-conf.ts'
import { PodFolders } from '../../../agent/volumes/pod-folders.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Pod } from '../../../proto/gen/types.ts'

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .tuple(
      fc.constantFrom('10.0.0.1', 'db.example', 'ndots:1', ''),
      fc.constantFrom(
        '',
        '\nnameserver 192.0.2.66',
        ' 192.0.2.66',
        '\t',
        '#',
        '\r',
        '\0',
        '\u2028',
        '\u00a0',
        '/../..',
        '/',
      ),
    )
    .map((parts) => parts.join('')),
)

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (thrown) {
    assert.ok(GantryError.is(thrown, 'InvalidArgument'), String(thrown))
    return undefined
  }
}

describe("words of a pod's files", () => {
  it('are those of resolv.conf that were meant, or the file is not written', () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (server, domain, option) => {
        const pod = {
          metadata: { namespace: 'default' },
          spec: {
            dnsPolicy: 'None',
            dnsConfig: { nameservers: [server], searches: [domain], options: [{ name: option }] },
          },
        } as unknown as Pod
        const text = attempt(() =>
          podResolvConf(
            pod,
            { nameservers: [], search: [], options: [] },
            { resolver: '169.254.20.10', domain: 'cluster.local' },
          ),
        )
        if (text === undefined) return
        assert.deepEqual(
          text.split('\n').map((line) => line.split(/\s/)),
          [
            ['search', domain],
            ['nameserver', server.startsWith('127.') ? '169.254.20.10' : server],
            ['options', option],
            [''],
          ],
        )
      }),
      { numRuns: 1000 },
    )
  })

  it('are those of hosts that were meant, or the file is not written', () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, (address, name, alias) => {
        const text = attempt(() => hostsFile([name], [address], [{ ip: address, hostnames: [alias] }]))
        if (text !== undefined)
          assert.deepEqual(
            text
              .split('\n')
              .slice(-3)
              .map((line) => line.split(/\s/)),
            [[address, name], [address, alias], ['']],
          )
      }),
      { numRuns: 1000 },
    )
  })

  it('are names of files right below the folder that was meant', () => {
    const folders = new PodFolders('/state', '/run')
    fc.assert(
      fc.property(hostile, hostile, (uid, container) => {
        const log = attempt(() => folders.log(uid, container, 1))
        if (log !== undefined)
          assert.deepEqual(
            [dirname(dirname(dirname(log))), log],
            ['/state/logs', `/state/logs/${uid}/${container}/1.log`],
          )
        const etc = attempt(() => folders.etc(uid, 'hosts'))
        if (etc !== undefined) assert.equal(etc, `/run/volumes/${uid}/etc/hosts`)
      }),
      { numRuns: 1000 },
    )
    for (const bad of ['', '.', '..', 'a/b', '../x', 'a\0b'])
      assert.throws(() => checkedPathSegment(bad), { code: 'InvalidArgument' })
    for (const bad of ['', ' ', 'a b', 'a\nb', '#a', ';a'])
      assert.throws(() => checkedLineWord(bad), { code: 'InvalidArgument' })
  })
})
