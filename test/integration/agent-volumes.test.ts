/** Volumes with real mounts, in a mount table that is left as it was found. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AssignedObjects } from '../../agent/pods/assigned-objects.ts'
import { isTmpfs, mountsUnder, unmountUnder } from '../../agent/host/mount-table.ts'
import { PodFolders } from '../../agent/volumes/pod-folders.ts'
import { VolumeManager } from '../../agent/volumes/volume-manager.ts'
import type { Pod, Volume, VolumeMount } from '../../proto/gen/types.ts'
import { makeContainer, makePod } from '../agent/fakes.ts'

const PLACE = { nodeName: 'n1', hostAddress: '192.0.2.1', podAddresses: [], allocatable: {} }

describe('volumes with mounts', () => {
  let directory: string
  let folders: PodFolders
  let volumes: VolumeManager
  const objects = new AssignedObjects()
  objects.set({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default', uid: 'u', resourceVersion: '1' },
    type: 'Opaque',
    data: { key: Buffer.from('hush').toString('base64') },
  })

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-mounts-'))
    folders = new PodFolders(join(directory, 'state'), join(directory, 'run'))
    volumes = new VolumeManager(folders)
    await volumes.start(new Set())
  })

  afterEach(async () => {
    await unmountUnder(directory)
    await rm(directory, { recursive: true, force: true })
  })

  function podWith(volume: Volume, ...volumeMounts: VolumeMount[]): Pod {
    return makePod('web', { volumes: [volume], containers: [makeContainer('main', { volumeMounts })] })
  }

  it('keeps secrets in memory and takes them away with the pod', async () => {
    const pod = podWith({ name: 's', secret: { secretName: 's', defaultMode: 0o400 } }, { name: 's', mountPath: '/s' })
    await volumes.prepare(pod, objects, PLACE)
    const [mount] = await volumes.mounts(pod, pod.spec.containers[0]!)
    assert.equal(await readFile(join(mount!.source, 'key'), 'utf8'), 'hush')
    assert.ok(await isTmpfs(mount!.source))
    await volumes.remove('uid-web')
    await assert.rejects(stat(mount!.source), { code: 'ENOENT' })
  })

  it('gives an emptyDir in memory its size, once', async () => {
    const pod = podWith({ name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }, { name: 'm', mountPath: '/m' })
    await volumes.prepare(pod, objects, PLACE)
    await volumes.prepare(pod, objects, PLACE)
    const path = folders.emptyDir(pod, 'm')
    assert.deepEqual(await mountsUnder(path), [path])
    assert.equal((await stat(path)).mode & 0o777, 0o777)
    await assert.rejects(writeFile(join(path, 'big'), Buffer.alloc(2 * 2 ** 20)), { code: 'ENOSPC' })
    await volumes.remove('uid-web')
    assert.deepEqual(await mountsUnder(path), [])
    const shared = { ...pod, spec: { ...pod.spec, securityContext: { fsGroup: 7 } } }
    await volumes.prepare(shared, objects, PLACE)
    const { mode, gid } = await stat(path)
    assert.deepEqual([mode & 0o7777, gid], [0o2777, 7])
  })

  it('binds a place inside a volume, and none outside it', async () => {
    const pod = podWith(
      { name: 'd', emptyDir: {} },
      { name: 'd', mountPath: '/a', subPath: 'deep/er' },
      { name: 'd', mountPath: '/f', subPath: 'file' },
    )
    await volumes.prepare(pod, objects, PLACE)
    const root = folders.emptyDir(pod, 'd')
    await writeFile(join(root, 'file'), 'content')
    const [tree, file] = await volumes.mounts(pod, pod.spec.containers[0]!)
    await writeFile(join(tree!.source, 'x'), 'written')
    assert.equal(await readFile(join(root, 'deep/er/x'), 'utf8'), 'written')
    assert.equal(await readFile(file!.source, 'utf8'), 'content')
    assert.equal((await volumes.mounts(pod, pod.spec.containers[0]!)).length, 2)
    assert.equal((await mountsUnder(folders.pod('uid-web'))).length, 2)

    assert.equal((await stat(tree!.source)).mode & 0o7777, 0o777)

    await mkdir(join(directory, 'outside'))
    await symlink(join(directory, 'outside'), join(root, 'link'))
    const bad = podWith({ name: 'd', emptyDir: {} }, { name: 'd', mountPath: '/a', subPath: 'link' })
    await assert.rejects(volumes.mounts(bad, bad.spec.containers[0]!), { code: 'Forbidden' })
    await volumes.remove('uid-web')
    assert.deepEqual(await mountsUnder(folders.pod('uid-web')), [])
  })

  it('makes what a subPath names, also where it is to be read only, for the group of the volume', async () => {
    const pod = makePod('web', {
      securityContext: { fsGroup: 4321 },
      volumes: [{ name: 'd', emptyDir: {} }],
      containers: [
        makeContainer('main', {
          volumeMounts: ['a', 'b', 'c', 'd'].map((name) => ({
            name: 'd',
            mountPath: `/${name}`,
            subPath: `shared/${name}`,
            readOnly: true,
          })),
        }),
      ],
    })
    await volumes.prepare(pod, objects, PLACE)
    const mounts = await volumes.mounts(pod, pod.spec.containers[0]!)
    for (const { source } of mounts) {
      const { mode, gid } = await stat(source)
      assert.deepEqual([mode & 0o7777, gid], [0o2777, 4321])
    }
  })

  it('keeps what it holds from other users of the node', async () => {
    for (const folder of [folders.memory, folders.pods, folders.logs])
      assert.equal((await stat(folder)).mode & 0o777, 0o700)
  })

  it('removes at start what no pod has', async () => {
    const pod = podWith({ name: 'm', emptyDir: { medium: 'Memory' } }, { name: 'm', mountPath: '/m' })
    await volumes.prepare(pod, objects, PLACE)
    await new VolumeManager(folders).start(new Set(['uid-web']))
    assert.equal((await mountsUnder(folders.pod('uid-web'))).length, 1)
    await new VolumeManager(folders).start(new Set())
    assert.equal((await mountsUnder(folders.pod('uid-web'))).length, 0)
    await assert.rejects(stat(folders.pod('uid-web')), { code: 'ENOENT' })
  })
})
