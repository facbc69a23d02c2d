/** Pods on one node reach each other by address, and reach out through the node. */
import assert from 'node:assert/strict'
import { eventually } from '../eventually.ts'
import type { Cluster } from './cluster.ts'

function pod(name: string, command: string): string {
  return JSON.stringify({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { suite: 'network' } },
    spec: { nodeSelector: { 'kubernetes.io/hostname': 'n1' }, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', command] }] },
  })
}

export function network(cluster: () => Cluster): void {
  describe('network', () => {
    before(async () => {
      await cluster().ok(['apply', '-f', '-'], pod('server', 'mkdir /w; echo served > /w/index.html; exec httpd -f -p 80 -h /w'))
      await cluster().ok(['apply', '-f', '-'], pod('client', 'exec sleep 1000'))
      for (const name of ['server', 'client']) await eventually(async () => (await cluster().value(`pod/${name}`, '.status.phase')) === 'Running')
    })

    after(async () => {
      await cluster().ok(['delete', 'pods', '-l', 'suite=network', '--now'])
    })

    it('joins pods of one node', async () => {
      const address = await cluster().value('pod/server', '.status.podIP')
      assert.match(address, /^10\.244\.\d+\.\d+$/)
      await eventually(async () => (await cluster().ok(['exec', 'client', '--', 'wget', '-q', '-O', '-', `http://${address}/`])) === 'served\n')
    })

    it('lets a pod reach out through its node, with the node\'s address', async () => {
      assert.match(await cluster().ok(['exec', 'client', '--', 'wget', '-q', '-S', '-O', '-', `http://${cluster().registry}/v2/`]), /\{\}/)
    })

    it('keeps processes, host names and interfaces of pods apart', async () => {
      assert.equal(await cluster().ok(['exec', 'client', '--', 'hostname']), 'client\n')
      assert.doesNotMatch(await cluster().ok(['exec', 'client', '--', 'ps']), /httpd/)
      assert.notEqual(await cluster().ok(['exec', 'client', '--', 'readlink', '/proc/self/ns/net']), await cluster().ok(['exec', 'server', '--', 'readlink', '/proc/self/ns/net']))
    })
  })
}
