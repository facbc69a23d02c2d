/** Images that cannot be had, and what is told of it. */
import assert from 'node:assert/strict'
import { eventually } from '../eventually.ts'
import type { Cluster } from './cluster.ts'

export function images(cluster: () => Cluster): void {
  describe('images', () => {
    const apply = async (name: string, image: string, policy = 'IfNotPresent'): Promise<void> => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name, labels: { suite: 'images' } },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'c', image, imagePullPolicy: policy, command: ['sleep', '1000'] }],
          },
        }),
      )
    }
    const waiting = async (name: string): Promise<string> =>
      `${await cluster().value(`pod/${name}`, '.status.containerStatuses[0].state.waiting.reason')}: ${await cluster().value(`pod/${name}`, '.status.containerStatuses[0].state.waiting.message')}`

    after(async () => {
      await cluster().ok(['delete', 'pods', '-l', 'suite=images', '--now'])
    })

    const bad: [string, string, string | (() => string), RegExp][] = [
      [
        'an image that does not exist',
        'nothing',
        () => `${cluster().registry}/library/no-such-image:1`,
        /^(ErrImagePull|ImagePullBackOff): .*no-such-image/,
      ],
      [
        'a registry that cannot be reached',
        'nowhere',
        () => `${cluster().registry.replace(/:\d+$/, ':5999')}/x:1`,
        /^(ErrImagePull|ImagePullBackOff): .*:5999/,
      ],
      ['a reference that is none', 'malformed', 'docker.io/Upper:1', /^InvalidImageName: .*Upper/],
    ]
    for (const [what, name, image, message] of bad) {
      it(`says what is wrong with ${what}`, async () => {
        await apply(name, typeof image === 'string' ? image : image())
        await eventually(async () => message.test(await waiting(name)), 40_000)
      })
    }

    it('does not pull with policy Never', async () => {
      await apply('never', 'library/busybox:1.37', 'Never')
      await eventually(async () => /^ErrImageNeverPull: /.test(await waiting('never')))
    })

    it('starts by digest too, and tells which digest runs', async () => {
      const { headers } = await fetch(`http://${cluster().registry}/v2/library/busybox/manifests/latest`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      })
      const digest = headers.get('docker-content-digest')!
      await apply('digest', `busybox@${digest}`)
      await eventually(async () => (await cluster().value('pod/digest', '.status.phase')) === 'Running')
      assert.match(await cluster().value('pod/digest', '.status.containerStatuses[0].imageID'), new RegExp(digest))
    })
  })
}
