import assert from 'node:assert/strict'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AssignedObjects } from '../../../agent/pods/assigned-objects.ts'
import { writeAtomically } from '../../../agent/volumes/atomic-directory.ts'
import { prepareHostPath } from '../../../agent/volumes/host-path.ts'
import { PodFolders } from '../../../agent/volumes/pod-folders.ts'
import { projection, type Projection } from '../../../agent/volumes/projection.ts'
import { openWithin, procPath, readWithin } from '../../../agent/volumes/safe-path.ts'
import { VolumeManager } from '../../../agent/volumes/volume-manager.ts'
import type { Volume } from '../../../proto/gen/types.ts'
import { makePod } from '../fakes.ts'

const PLACE = { nodeName: 'n1', hostAddress: '192.0.2.1', podAddresses: [], allocatable: {} }

describe('volumes', () => {
  let directory: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-volumes-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('has no emptyDir before that has its rights', async () => {
    const folders = new PodFolders(join(directory, 'state'), join(directory, 'run'))
    const volumes = new VolumeManager(folders)
    const pod = (fsGroup: number) =>
      makePod('web', { volumes: [{ name: 'disk', emptyDir: {} }], securityContext: { fsGroup } })
    // No such group can be: what a stop in the middle would leave.
    for (let round = 1; round <= 2; round++)
      await assert.rejects(volumes.prepare(pod(2 ** 33), new AssignedObjects(), PLACE))
    assert.equal(volumes.arePrepared(pod(7)), false)
    await volumes.prepare(pod(7), new AssignedObjects(), PLACE)
    const { mode, gid } = await stat(folders.emptyDir(pod(7), 'disk'))
    assert.deepEqual([mode & 0o7777, gid], [0o2777, 7])
    await chmod(folders.emptyDir(pod(7), 'disk'), 0o700)
    await volumes.prepare(pod(7), new AssignedObjects(), PLACE)
    assert.equal(
      (await stat(folders.emptyDir(pod(7), 'disk'))).mode & 0o7777,
      0o700,
      'what the pod did to it is undone',
    )
  })

  describe('paths inside a tree', () => {
    beforeEach(async () => {
      await mkdir(join(directory, 'tree/a/b'), { recursive: true })
      await writeFile(join(directory, 'secret'), 'outside')
      await writeFile(join(directory, 'tree/a/file'), 'inside')
      await symlink('/a/file', join(directory, 'tree/absolute'))
      await symlink('../file', join(directory, 'tree/a/b/relative'))
      await symlink('../../secret', join(directory, 'tree/a/escape'))
      await symlink('loop', join(directory, 'tree/loop'))
    })

    const read = (path: string): Promise<string> => readWithin(join(directory, 'tree'), path)

    it('follows links, but not out', async () => {
      assert.equal(await read('a/file'), 'inside')
      assert.equal(await read('/absolute'), 'inside')
      assert.equal(await read('a/b/relative'), 'inside')
      for (const path of ['a/escape', '../secret', 'a/../../secret', 'loop'])
        await assert.rejects(read(path), { code: 'Forbidden' }, path)
    })

    it('knows absent files, and reads regular and small ones only', async () => {
      assert.equal(await read('a/none'), '')
      await assert.rejects(read('a'), { code: 'InvalidArgument' })
      await assert.rejects(readWithin(join(directory, 'tree'), 'a/file', 3), { code: 'InvalidArgument' })
    })

    it('refuses absolute links of a volume and makes missing directories', async () => {
      const root = join(directory, 'tree')
      await assert.rejects(openWithin(root, 'absolute', { absoluteLinks: 'refuse' }), { code: 'Forbidden' })
      await assert.rejects(openWithin(root, 'new', { absoluteLinks: 'refuse' }), { code: 'NotFound' })
      const made = await openWithin(root, 'new/deep', { absoluteLinks: 'refuse', create: 0o755 })
      assert.equal(await readlink(procPath(made)), join(root, 'new/deep'))
      await made.close()
      await assert.rejects(openWithin(root, 'a/file/x', { absoluteLinks: 'refuse', create: 0o755 }))
    })

    it('closes what it opened', async () => {
      const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length
      const before = await open()
      for (let turn = 0; turn < 20; turn++) {
        await read('absolute')
        await assert.rejects(read('a/escape'))
      }
      assert.ok((await open()) <= before + 1)
    })
  })

  describe('files that change at once', () => {
    const files = (entries: Record<string, string>, mode = 0o644): Projection =>
      new Map(Object.entries(entries).map(([path, text]) => [path, { content: Buffer.from(text), mode }]))
    let target: string

    beforeEach(() => {
      target = join(directory, 'volume')
    })

    it('show what they should, through one link', async () => {
      writeAtomically(target, files({ a: '1', 'sub/b': '2' }), { gid: undefined })
      assert.equal(await readFile(join(target, 'sub/b'), 'utf8'), '2')
      assert.equal(await readlink(join(target, 'a')), '..data/a')
      const first = await readlink(join(target, '..data'))
      writeAtomically(target, files({ a: '1', 'sub/b': '2' }), { gid: undefined })
      assert.equal(await readlink(join(target, '..data')), first)
      const { ino } = await stat(target)
      writeAtomically(target, files({ a: '3', c: '4' }), { gid: undefined })
      assert.deepEqual((await readdir(target)).filter((name) => !name.startsWith('..')).sort(), ['a', 'c'])
      assert.equal((await readdir(target)).length, 4)
      assert.equal(await readFile(join(target, 'a'), 'utf8'), '3')
      assert.equal((await stat(target)).ino, ino)
    })

    it('complete what was interrupted', async () => {
      writeAtomically(target, files({ a: '1' }), { gid: undefined })
      await mkdir(join(target, '..half'))
      await symlink('..half', join(target, '..data_new'))
      await rm(join(target, 'a'))
      writeAtomically(target, files({ a: '1' }), { gid: undefined })
      assert.equal(await readFile(join(target, 'a'), 'utf8'), '1')
      assert.equal((await readdir(target)).length, 3)
    })

    it('have modes, and a group that may read them', async () => {
      writeAtomically(target, files({ a: '1' }, 0o400), { gid: undefined })
      assert.equal((await stat(join(target, 'a'))).mode & 0o777, 0o400)
      writeAtomically(target, files({ a: '1' }, 0o400), { gid: 1234 })
      const { mode, gid } = await stat(join(target, 'a'))
      assert.deepEqual([mode & 0o777, gid], [0o440, 1234])
    })
  })

  describe('projections', () => {
    const objects = new AssignedObjects()
    objects.set({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'default', uid: 'u', resourceVersion: '1' },
      data: { a: '1' },
      binaryData: { bin: 'AP8=' },
    })
    objects.set({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default', uid: 'u', resourceVersion: '1' },
      type: 'Opaque',
      data: { key: Buffer.from('hush').toString('base64') },
    })
    const pod = makePod('web', {}, { labels: { app: 'web' } })
    const shown = (volume: Omit<Volume, 'name'>): Record<string, string> =>
      Object.fromEntries(
        [...(projection(pod, { name: 'v', ...volume }, objects, PLACE) ?? [])].map(([path, file]) => [
          path,
          `${Buffer.from(file.content).toString('latin1')} ${file.mode.toString(8)}`,
        ]),
      )

    it('hold keys, chosen ones and those of several sources', () => {
      assert.deepEqual(shown({ configMap: { name: 'cm', defaultMode: 0o644 } }), { a: '1 644', bin: '\0\xff 644' })
      assert.deepEqual(
        shown({ configMap: { name: 'cm', defaultMode: 0o644, items: [{ key: 'a', path: 'x/y', mode: 0o600 }] } }),
        { 'x/y': '1 600' },
      )
      assert.deepEqual(shown({ secret: { secretName: 's', defaultMode: 0o400 } }), { key: 'hush 400' })
      assert.deepEqual(
        shown({
          downwardAPI: {
            defaultMode: 0o644,
            items: [{ path: 'labels', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.labels' } }],
          },
        }),
        { labels: 'app="web"\n 644' },
      )
      assert.deepEqual(
        shown({
          projected: {
            defaultMode: 0o444,
            sources: [{ secret: { name: 's' } }, { configMap: { name: 'cm', items: [{ key: 'a', path: 'a' }] } }],
          },
        }),
        { key: 'hush 444', a: '1 444' },
      )
      assert.deepEqual(shown({ configMap: { name: 'none', optional: true, defaultMode: 0o644 } }), {})
    })

    it('name what is missing or would lead out', () => {
      assert.throws(() => shown({ configMap: { name: 'none', defaultMode: 0o644 } }), {
        code: 'NotFound',
        message: 'configmap "none" not found',
      })
      assert.throws(
        () => shown({ secret: { secretName: 's', defaultMode: 0o644, items: [{ key: 'no', path: 'x' }] } }),
        { code: 'NotFound' },
      )
      for (const path of ['../x', '/x', 'a/../../b', '..data'])
        assert.throws(
          () => shown({ configMap: { name: 'cm', defaultMode: 0o644, items: [{ key: 'a', path }] } }),
          { code: 'InvalidArgument' },
          path,
        )
    })
  })

  it('checks what a hostPath says', async () => {
    const path = join(directory, 'host')
    await assert.rejects(prepareHostPath({ path, type: 'Directory' }), { code: 'FailedPrecondition' })
    await prepareHostPath({ path, type: 'DirectoryOrCreate' })
    await prepareHostPath({ path, type: 'Directory' })
    await assert.rejects(prepareHostPath({ path, type: 'File' }), { code: 'FailedPrecondition' })
    await prepareHostPath({ path: `${path}-file`, type: 'FileOrCreate' })
    assert.ok((await lstat(`${path}-file`)).isFile())
    await prepareHostPath({ path: '/dev/null', type: 'CharDevice' })
    await prepareHostPath({ path: '/nonexistent', type: '' })
  })
})
