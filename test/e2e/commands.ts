/** Logs and commands in containers. */
import assert from 'node:assert/strict'
import { eventually } from '../eventually.ts'
import type { Cluster } from './cluster.ts'

export function commands(cluster: () => Cluster): void {
  describe('logs and exec', () => {
    before(async () => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'talk' },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [
              {
                name: 'c',
                image: 'busybox',
                command: ['sh', '-c', 'for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; exec sleep 1000'],
              },
            ],
          },
        }),
      )
      await eventually(async () => (await cluster().ok(['logs', 'talk'])).includes('line 5'))
    })

    after(async () => {
      await cluster().ok(['delete', 'pod', 'talk', '--now'])
    })

    it('shows the whole log, its end, and lines with their times', async () => {
      assert.deepEqual(
        (await cluster().ok(['logs', 'talk'])).split('\n').filter((line) => line.startsWith('line')),
        ['line 1', 'line 2', 'line 3', 'line 4', 'line 5'],
      )
      assert.equal((await cluster().ok(['logs', 'talk', '--tail', '2'])).trim().split('\n').length, 2)
      assert.match(
        await cluster().ok(['logs', 'talk', '--tail=1', '--timestamps']),
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+/,
      )
    })

    it('passes on the exit code, standard input and both outputs', async () => {
      const { code, stdout, stderr } = await cluster().run(
        ['exec', '-i', 'talk', '--', 'sh', '-c', 'cat; echo err >&2; exit 7'],
        'through\n',
      )
      assert.deepEqual([code, stdout], [7, 'through\n'])
      assert.match(stderr, /^err$/m)
    })

    it('carries a megabyte both ways', async () => {
      const text = `${'0123456789abcdef'.repeat(65_536)}\n`
      assert.equal(await cluster().ok(['exec', '-i', 'talk', '--', 'cat'], text), text)
    })

    it('says 127 for a command that is not there', async () => {
      const { code, stderr } = await cluster().run(['exec', 'talk', '--', 'no-such-command'])
      assert.equal(code, 127)
      assert.match(stderr, /no-such-command/)
    })

    it('says what is wrong with the name of a pod or container', async () => {
      const missing = await cluster().run(['logs', 'nobody'])
      assert.equal(missing.code, 3)
      assert.match(missing.stderr, /nobody/)
      const container = await cluster().run(['logs', 'talk', '-c', 'nope'])
      assert.notEqual(container.code, 0)
      assert.match(container.stderr, /nope/)
    })
  })
}
