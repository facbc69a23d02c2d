/**
 * Commands that change one object: edit, label, annotate, patch in all types, replace; and how strictly they are read.
 */
import assert from 'node:assert/strict'
import { pod, type Kubectl } from './kubectl.ts'

export function changing(root: () => Kubectl): void {
  describe('changes of objects', () => {
    let kubectl: Kubectl
    const configMap = (name: string, data: object = {}): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data,
    })
    const editor = (name: string, script: string): Promise<void> => kubectl.file(name, `#!/bin/sh\n${script}\n`, 0o755)

    before(async () => {
      kubectl = await root().within('changing')
      await Promise.all([
        kubectl.ok('create deployment web --image=busybox --replicas=0'),
        kubectl.apply(
          ...['edited', 'labelled', 'patched', 'replaced', 'l2', 'l3'].map((name) => configMap(name, { a: '1' })),
        ),
      ])
    })
    after(() => kubectl.leave())

    it('edits in an editor, one object and several', async () => {
      await editor('once', 'sed -i "s/a: \\"1\\"/a: \\"2\\"/" "$1"')
      assert.equal(
        await kubectl.ok('edit configmap edited', { env: { EDITOR: './once' } }),
        'configmap/edited edited\n',
      )
      assert.equal(await kubectl.value('configmap/edited', '.data.a'), '2')
      await editor('several', `sed -i 's/"a": "1"/"z": "1"/' "$1"`)
      await kubectl.ok('edit configmap l2 l3 -o json', { env: { EDITOR: './several' } })
      assert.deepEqual(await Promise.all(['l2', 'l3'].map((name) => kubectl.value(`configmap/${name}`, '.data'))), [
        '{"z":"1"}',
        '{"z":"1"}',
      ])
      const { code, stderr } = await kubectl.run('edit configmap edited', { env: { EDITOR: 'true' } })
      assert.deepEqual([code, stderr], [0, 'Edit cancelled, no changes made.\n'])
    })

    it('opens the editor again with what was wrong', async () => {
      await editor(
        'wrong',
        'if [ -e seen ]; then cp "$1" shown; sed -i "s/replicas: -3/replicas: 0/; s/progressDeadlineSeconds: .*/progressDeadlineSeconds: 700/" "$1"; else touch seen; sed -i "s/replicas: 0/replicas: -3/" "$1"; fi',
      )
      assert.equal(
        await kubectl.ok('edit deployment web', { env: { EDITOR: './wrong' } }),
        'deployment.apps/web edited\n',
      )
      assert.equal(await kubectl.value('deployment/web', '.spec.progressDeadlineSeconds'), '700')
      await kubectl.ok(['create', 'configmap', 'shown', '--from-file=shown'])
      assert.match(
        await kubectl.value('configmap/shown', '.data.shown'),
        /^# deployments\.apps "web" was not valid:\n# \* spec\.replicas: Invalid value: -3: /m,
      )
    })

    it('edits the status alone', async () => {
      await kubectl.ok('create service clusterip quiet --tcp=80')
      const condition =
        '{"type": "example.com/Tested", "status": "True", "reason": "Edited", "message": "by hand", "lastTransitionTime": "2026-01-01T00:00:00Z"}'
      await editor(
        'status',
        `sed -i 's/port: 80/port: 81/' "$1"; echo 'status: {"conditions": [${condition}]}' >> "$1"`,
      )
      await kubectl.ok('edit service quiet --subresource=status', { env: { EDITOR: './status' } })
      assert.equal(
        await kubectl.ok([
          'get',
          'service',
          'quiet',
          '-o',
          'jsonpath={.status.conditions[*].reason} {.spec.ports[*].port}',
        ]),
        'Edited 80',
      )
    })

    it('labels and annotates', async () => {
      await kubectl.ok('label configmap labelled color=red size=1')
      assert.match(
        await kubectl.refused('label configmap labelled color=blue'),
        /^error: 'color' already has a value \(red\), and --overwrite is false\n$/,
      )
      assert.equal(
        await kubectl.ok('label configmap labelled color=blue size- --overwrite'),
        'configmap/labelled labeled\n',
      )
      assert.equal(await kubectl.value('configmap/labelled', '.metadata.labels'), '{"color":"blue"}')
      assert.match(await kubectl.ok('label configmap labelled --list'), /^color=blue$/m)
      await kubectl.ok(['annotate', 'configmap', '-l', 'color=blue', 'note=a b'])
      assert.equal(await kubectl.value('configmap/labelled', '.metadata.annotations.note'), 'a b')
      await kubectl.ok('annotate configmap labelled note-')
      assert.equal(await kubectl.value('configmap/labelled', '.metadata.annotations.note'), '')
      assert.match(
        await kubectl.refused('label configmap labelled a=b --resource-version=1 --overwrite'),
        /the object has been modified/,
      )
      assert.match(
        await kubectl.refused(['label', 'configmap', 'labelled', 'bad=no spaces']),
        /invalid label value: "bad=no spaces"/,
      )
    })

    it('patches in all types, of subresources too', async () => {
      const patch = (object: string, type: string, change: unknown, ...more: string[]): Promise<string> =>
        kubectl.ok(['patch', ...object.split('/'), `--type=${type}`, '-p', JSON.stringify(change), ...more])
      await patch('configmap/patched', 'json', [
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'add', path: '/data/b', value: '2' },
        { op: 'remove', path: '/data/a' },
      ])
      assert.equal(await kubectl.value('configmap/patched', '.data'), '{"b":"2"}')
      assert.equal(
        await patch('configmap/patched', 'merge', { data: { b: null, c: '3' } }),
        'configmap/patched patched\n',
      )
      assert.equal(await kubectl.value('configmap/patched', '.data'), '{"c":"3"}')
      assert.equal(
        await patch('configmap/patched', 'merge', { data: { c: '3' } }),
        'configmap/patched patched (no change)\n',
      )
      await patch('deployment/web', 'strategic', {
        spec: { template: { spec: { containers: [{ name: 'side', image: 'busybox' }] } } },
      })
      assert.equal(await kubectl.value('deployment/web', '.spec.template.spec.containers[*].name'), 'side busybox')
      await patch('deployment/web', 'strategic', {
        spec: { template: { spec: { containers: [{ name: 'side', $patch: 'delete' }] } } },
      })
      assert.equal(await kubectl.value('deployment/web', '.spec.template.spec.containers[*].name'), 'busybox')
      await patch('deployment/web', 'merge', { spec: { replicas: 1 } }, '--subresource=scale')
      assert.equal(await kubectl.value('deployment/web', '.spec.replicas'), '1')
      await patch('deployment/web', 'merge', { spec: { replicas: 0 } }, '--subresource=scale')
      const condition = {
        type: 'example.com/Tested',
        status: 'True',
        reason: 'Patched',
        message: 'by hand',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      }
      await kubectl.ok('create service clusterip patched --tcp=80')
      await patch(
        'service/patched',
        'merge',
        { status: { conditions: [condition] }, spec: { sessionAffinity: 'ClientIP' } },
        '--subresource=status',
      )
      assert.equal(
        await kubectl.ok([
          'get',
          'service',
          'patched',
          '-o',
          'jsonpath={.status.conditions[*].reason} {.spec.sessionAffinity}',
        ]),
        'Patched None',
      )
      await kubectl.file('patch.yaml', 'data:\n  from: file\n')
      await kubectl.ok('patch configmap patched --patch-file patch.yaml')
      assert.equal(await kubectl.value('configmap/patched', '.data.from'), 'file')
      const local = await kubectl.ok(
        ['patch', '--local', '-f', '-', '-p', '{"data":{"b":"2"}}', '-o', 'jsonpath={.data}'],
        { stdin: JSON.stringify(configMap('nowhere', { a: '1' })) },
      )
      assert.equal(local, '{"a":"1","b":"2"}')
    })

    it('says what is wrong with a patch', async () => {
      const refused = (type: string, change: string): Promise<string> =>
        kubectl.refused(['patch', 'configmap', 'patched', `--type=${type}`, '-p', change])
      const [tested, missing, broken, kind, immutable] = await Promise.all([
        refused('json', '[{"op":"test","path":"/data/c","value":"4"}]'),
        refused('json', '[{"op":"remove","path":"/data/none"}]'),
        refused('merge', '{"data":'),
        refused('merge', '{"data":"text"}'),
        refused('merge', '{"metadata":{"name":"other"}}'),
      ])
      assert.match(tested, /^The ConfigMap "patched" is invalid: \/data\/c: .*test/)
      assert.match(missing, /^The ConfigMap "patched" is invalid: \/data\/none: /)
      assert.match(broken, /JSON|unable to parse/)
      assert.match(kind, /data/)
      assert.match(immutable, /metadata\.name/)
    })

    it('replaces, also what cannot be changed in place', async () => {
      assert.equal(
        await kubectl.ok('replace -f -', { stdin: JSON.stringify(configMap('replaced', { b: '2' })) }),
        'configmap/replaced replaced\n',
      )
      assert.equal(await kubectl.value('configmap/replaced', '.data'), '{"b":"2"}')
      assert.match(
        await kubectl.refused('replace -f -', { stdin: JSON.stringify(configMap('nobody')) }),
        /configmaps "nobody" not found/,
      )
      await kubectl.apply(pod('fixed', 'sleep 1000'))
      const uid = await kubectl.value('pod/fixed', '.metadata.uid')
      const changed = JSON.stringify(pod('fixed', 'sleep 2000'))
      assert.match(await kubectl.refused('replace -f -', { stdin: changed }), /^The Pod "fixed" is invalid: /)
      await kubectl.file('fixed.json', changed)
      assert.match(await kubectl.ok('replace --force -f fixed.json'), /^pod "fixed" deleted\npod\/fixed replaced\n$/)
      assert.notEqual(await kubectl.value('pod/fixed', '.metadata.uid'), uid)
      await kubectl.ok('delete pod fixed --now')
    })

    it('refuses, warns of, or passes over fields that are not known or not acted on', async () => {
      const unknown = (name: string): { stdin: string } => ({ stdin: JSON.stringify({ ...configMap(name), nope: 1 }) })
      assert.match(
        await kubectl.refused('create -f -', unknown('strict')),
        /^Error from server \(BadRequest\): .*strict decoding error: unknown field "nope"/,
      )
      const warned = await kubectl.run('create --validate=warn -f -', unknown('warned'))
      assert.deepEqual([warned.code, warned.stdout], [0, 'configmap/warned created\n'])
      assert.match(warned.stderr, /^Warning: unknown field "nope"/)
      const ignored = await kubectl.run('create --validate=ignore -f -', unknown('ignored'))
      assert.deepEqual([ignored.code, ignored.stderr], [0, ''])
      assert.match(
        await kubectl.refused('create -f -', {
          stdin: JSON.stringify(pod('x', 'true', { spec: { runtimeClassName: 'gvisor' } })),
        }),
        /spec\.runtimeClassName/,
      )
      assert.match(
        await kubectl.refused('create -f -', { stdin: JSON.stringify(pod('x', 'true', { spec: { containers: [] } })) }),
        /^The Pod "x" is invalid: spec\.containers: Required value/,
      )
      assert.match(
        await kubectl.refused('create -f -', { stdin: JSON.stringify(configMap('Upper_Case')) }),
        /^The ConfigMap "Upper_Case" is invalid: metadata\.name: Invalid value: "Upper_Case": /,
      )
      assert.match(
        await kubectl.refused('create -f -', { stdin: JSON.stringify(configMap('patched')) }),
        /^Error from server \(AlreadyExists\): .*configmaps "patched" already exists\n$/,
      )
    })
  })
}
