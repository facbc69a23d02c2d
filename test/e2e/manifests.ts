/** Bad manifests: refused whole, with the place. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'

const GOOD = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: good\ndata: {a: "1"}\n'

export function manifests(cluster: () => Cluster): void {
  describe('manifests', () => {
    let folder: string
    before(() => (folder = mkdtempSync(join(tmpdir(), 'gantry-manifests-'))))
    after(() => rmSync(folder, { recursive: true }))

    const bad: [string, string, RegExp][] = [
      ['malformed YAML', 'apiVersion: v1\nkind: [ConfigMap\n', /f\.yaml:\d+:\d+: /],
      [
        'an unknown field, with the nearest name',
        'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replica: 3\n',
        /f\.yaml:5:3: .*replica\b.*replicas/,
      ],
      [
        'an unknown kind, with the nearest name',
        'apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: a}\n',
        /f\.yaml:2:7: .*Deployment/,
      ],
      [
        'a wrong type',
        'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: three\n',
        /f\.yaml:5:13: .*replicas/,
      ],
      [
        'a bad name',
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Not_A_Name\n',
        /f\.yaml:4:9: .*metadata\.name/,
      ],
      [
        'a bad quantity',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: c\n      image: busybox\n      resources:\n        limits:\n          memory: 12 MB\n',
        /f\.yaml:10:19: .*memory/,
      ],
      [
        'a duplicate key',
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: "1"\n  x: "2"\n',
        /f\.yaml:6:3: /,
      ],
      [
        'a field that is not acted on yet',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  priorityClassName: high\n  containers: [{name: c, image: busybox}]\n',
        /f\.yaml:5:3: .*priorityClassName/,
      ],
      [
        'one bad document among good ones',
        `${GOOD}---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n`,
        /f\.yaml:\d+:\d+: .*containers/,
      ],
    ]
    for (const [what, content, message] of bad) {
      it(`refuses ${what}, and applies nothing`, async () => {
        const file = join(folder, 'f.yaml')
        writeFileSync(file, content)
        const { code, stderr } = await cluster().run(['apply', '-f', file])
        assert.notEqual(code, 0)
        assert.match(stderr, message)
        assert.equal((await cluster().run(['get', 'configmap', 'good'])).code, 3)
      })
    }

    it('refuses an object over 1.5 MB and a ConfigMap over 1 MiB, and takes what is just below', async () => {
      const map = (size: number): string =>
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'large' },
          data: { a: 'x'.repeat(size) },
        })
      const pod = JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'large' },
        spec: { containers: [{ name: 'c', image: 'busybox', env: [{ name: 'A', value: 'x'.repeat(1_600_000) }] }] },
      })
      for (const [manifest, message] of [
        [map(1_100_000), /1048576/],
        [pod, /1500000|1\.5 MB/],
      ] as const) {
        const { code, stderr } = await cluster().run(['apply', '-f', '-'], manifest)
        assert.equal(code, 1)
        assert.match(stderr, message)
      }
      await cluster().ok(['apply', '-f', '-'], map(1_000_000))
      await cluster().ok(['delete', 'configmap', 'large'])
    })

    it('names field and owner of a conflict, and takes it over with --force', async () => {
      const manifest = (value: string): string =>
        JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shared' }, data: { a: value } })
      await cluster().ok(['apply', '--field-manager', 'first', '-f', '-'], manifest('1'))
      const { code, stderr } = await cluster().run(['apply', '--field-manager', 'second', '-f', '-'], manifest('2'))
      assert.equal(code, 1)
      assert.match(stderr, /data\.a/)
      assert.match(stderr, /first/)
      assert.equal(await cluster().value('configmap/shared', '.data.a'), '1')
      await cluster().ok(['apply', '--field-manager', 'second', '--force', '-f', '-'], manifest('2'))
      assert.equal(await cluster().value('configmap/shared', '.data.a'), '2')
      await cluster().ok(['delete', 'configmap', 'shared'])
    })

    it('removes what a manifest stops naming and keeps what others own', async () => {
      const manifest = (data: object): string =>
        JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'parts' }, data })
      await cluster().ok(['apply', '-f', '-'], manifest({ a: '1', b: '1' }))
      await cluster().ok(['patch', 'configmap/parts', '--type', 'merge', '-p', '{"data":{"c":"theirs"}}'])
      await cluster().ok(['apply', '-f', '-'], manifest({ a: '1' }))
      assert.deepEqual(JSON.parse(await cluster().ok(['get', 'configmap/parts', '-o', 'json'])).data, {
        a: '1',
        c: 'theirs',
      })
      await cluster().ok(['delete', 'configmap', 'parts'])
    })
  })
}
