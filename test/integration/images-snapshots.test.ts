import assert from 'node:assert/strict'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApplyLayer } from '../../agent/images/snapshots/contract.ts'
import { OverlaySnapshotter, type Base } from '../../agent/images/snapshots/overlay.ts'
import { SystemCalls } from '../../agent/host/system-calls.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { sha256 } from '../../deploy/image-builder.ts'

const chain = (name: string | number): string => sha256(Buffer.from(`chain ${name}`))
const file =
  (name: string, content = name): ApplyLayer =>
  async (directory) => {
    await writeFile(join(directory, name), content)
    return { opaque: [] }
  }

describe('overlay snapshots', () => {
  let root: string
  let bootId: string
  const opened: OverlaySnapshotter[] = []
  const calls = new SystemCalls(systemClock)

  after(() => calls.stop())
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry snapshots, '))
    bootId = join(root, 'boot_id')
    await writeFile(bootId, 'boot 1\n')
  })
  afterEach(async () => {
    for (const snapshots of opened.splice(0)) {
      for (const key of [...snapshots.active().keys()]) await snapshots.remove(key)
      await snapshots.stop()
    }
    await rm(root, { recursive: true, force: true })
  })

  async function open(base?: Base): Promise<OverlaySnapshotter> {
    const snapshots = new OverlaySnapshotter(join(root, 'snapshots'), silentLogger, calls, base, bootId)
    await snapshots.start()
    opened.push(snapshots)
    return snapshots
  }
  /** As after the end of the agent: nobody uses the old one any more. */
  async function reopen(): Promise<OverlaySnapshotter> {
    await opened.at(-1)!.stop()
    opened.length = 0
    return open()
  }
  const folders = (name: string): Promise<string[]> => readdir(join(root, 'snapshots', name))

  it('stack committed snapshots under a writable one', async () => {
    const snapshots = await open()
    await snapshots.commit(chain('a'), '', async (directory) => {
      await chmod(directory, 0o711)
      await chown(directory, 5, 6)
      return file('a')(directory, NOTHING)
    })
    await snapshots.commit(chain('b'), chain('a'), async (directory, lower) => {
      assert.equal((await lower.lookup('a'))?.type, 'other')
      return file('b')(directory, lower)
    })
    const { path } = await snapshots.mount('c', chain('b'))
    assert.deepEqual(await readdir(path), ['a', 'b'])
    const { mode, uid, gid } = await stat(path)
    assert.deepEqual([mode & 0o7777, uid, gid], [0o711, 5, 6])
    await unlink(join(path, 'a'))
    const other = await snapshots.mount('other', chain('b'))
    assert.deepEqual(await readdir(other.path), ['a', 'b'])
    assert.deepEqual(
      [...snapshots.active()],
      [
        ['c', chain('b')],
        ['other', chain('b')],
      ],
    )
  })

  it('fill once for many who commit the same, and leave nothing of a failure', async () => {
    const snapshots = await open()
    await assert.rejects(
      snapshots.commit(chain('a'), '', async (directory) => {
        await writeFile(join(directory, 'half'), '')
        throw new GantryError('InvalidArgument', 'bad layer')
      }),
      /bad layer/,
    )
    assert.deepEqual(await folders('staging'), [])
    assert.equal(snapshots.committed(chain('a')), false)
    let fills = 0
    const fill: ApplyLayer = (directory, lower) => (fills++, file('a')(directory, lower))
    await Promise.all([1, 2, 3].map(() => snapshots.commit(chain('a'), '', fill)))
    assert.equal(fills, 1)
    await assert.rejects(snapshots.commit(chain('c'), chain('none'), fill), hasCode('FailedPrecondition'))
  })

  it('refuse a bad key, an unknown chain, and another chain for a key', async () => {
    const snapshots = await open()
    await snapshots.commit(chain('a'), '', file('a'))
    for (const key of ['', '../x', 'a/b', '.hidden', 'x'.repeat(129), 'a,b', 'a:b'])
      await assert.rejects(snapshots.mount(key, chain('a')), hasCode('InvalidArgument'), key)
    await assert.rejects(snapshots.mount('c', chain('none')), hasCode('NotFound'))
    assert.equal(snapshots.active().size, 0)
    await snapshots.mount('c', chain('a'))
    await assert.rejects(snapshots.mount('c', ''), hasCode('AlreadyExists'))
  })

  it('mount two hundred layers', async () => {
    const snapshots = await open()
    for (let place = 0; place < 200; place++)
      await snapshots.commit(chain(place), place === 0 ? '' : chain(place - 1), file(`f${place}`))
    const { path } = await snapshots.mount('k'.repeat(128), chain(199))
    assert.equal((await readdir(path)).length, 200)
  })

  it('mount and remove many at once, and name the one that fails', async () => {
    const snapshots = await open()
    await snapshots.commit(chain('a'), '', file('a'))
    const keys = Array.from({ length: 20 }, (_, place) => `c${place}`)
    await snapshots.mount('c7', chain('a'))
    await snapshots.remove('c7')
    await snapshots.commit(chain('broken'), '', file('b'))
    await snapshots.stop() // its record is synced now
    await rm(join(root, 'snapshots/committed', chain('broken').slice(7, 19)), { recursive: true })
    const outcomes = await Promise.allSettled([
      ...keys.map((key) => snapshots.mount(key, chain('a'))),
      snapshots.mount('bad', chain('broken')),
    ])
    assert.deepEqual(
      outcomes.flatMap(({ status }, place) => (status === 'rejected' ? [place] : [])),
      [20],
    )
    for (const key of keys) assert.deepEqual(await readdir(join(root, 'snapshots/active', key, 'rootfs')), ['a'])
    await Promise.all(keys.map((key) => snapshots.remove(key)))
    assert.deepEqual(await folders('active'), [])
    assert.doesNotMatch(await readFile('/proc/self/mountinfo', 'utf8'), new RegExp(root.slice(-6)))
  })

  it('show a base below all layers, which hide and replace it', async () => {
    const snapshots = await open({ directories: ['/etc', '/proc'], files: ['/etc/hosts', '/etc/hostname'] })
    await snapshots.commit(chain('a'), '', async (directory) => {
      await mkdir(join(directory, 'etc'), { mode: 0o711 })
      await writeFile(join(directory, 'etc/hosts'), 'its own')
      return { opaque: [] }
    })
    const { path } = await snapshots.mount('c', chain('a'))
    assert.deepEqual(await readdir(path), ['etc', 'proc'])
    assert.deepEqual(await readdir(join(path, 'etc')), ['hostname', 'hosts'])
    assert.equal((await stat(join(path, 'etc'))).mode & 0o777, 0o711)
    assert.equal(await readFile(join(path, 'etc/hosts'), 'utf8'), 'its own')
    assert.equal(await readFile(join(path, 'etc/hostname'), 'utf8'), '')
    await writeFile(join(path, 'etc/hostname'), 'of one container')
    const bare = (await snapshots.mount('other', '')).path
    assert.equal(await readFile(join(bare, 'etc/hostname'), 'utf8'), '')
    assert.equal((await stat(join(bare, 'etc'))).mode & 0o777, 0o755)
  })

  it('use the folder of a removed one again, and nothing that was in it', async () => {
    const snapshots = await open()
    await snapshots.commit(chain('a'), '', file('a'))
    const folder = async (key: string): Promise<number> => (await stat(join(root, 'snapshots/active', key))).ino
    const { path } = await snapshots.mount('c', chain('a'))
    const before = await folder('c')
    await mkdir(join(path, 'deep/er'), { recursive: true })
    await writeFile(join(path, 'deep/er/written'), 'x')
    await chmod(path, 0o700)
    await snapshots.remove('c')
    assert.deepEqual([await folders('active'), await folders('trash'), (await folders('spare')).length], [[], [], 1])
    const again = await snapshots.mount('d', chain('a'))
    assert.equal(await folder('d'), before)
    assert.deepEqual(await readdir(again.path), ['a'])
    assert.equal((await stat(again.path)).mode & 0o777, 0o755)
    await snapshots.remove('d')
    await reopen()
    assert.deepEqual(await folders('spare'), [])
  })

  it('come back after a restart without what was half made', async () => {
    const first = await open()
    await first.commit(chain('a'), '', file('a'))
    await writeFile(join((await first.mount('c', chain('a'))).path, 'written'), 'x')
    for (const path of ['staging/x/fs/deep', 'trash/y/upper/deep', 'committed/123456789012/fs', 'active/half/upper'])
      await mkdir(join(root, 'snapshots', path), { recursive: true })
    await cp(join(root, 'snapshots/active/c/snapshot.json'), join(root, 'snapshots/active/half/snapshot.json'))
    const second = await reopen()
    assert.deepEqual(
      [await folders('staging'), await folders('trash'), await folders('active'), (await folders('committed')).length],
      [[], [], ['c'], 2],
    )
    assert.equal(await readFile(join((await second.mount('c', chain('a'))).path, 'written'), 'utf8'), 'x')
  })

  it('forget after a power loss what was not synced, and what stood on it', async () => {
    const first = await open()
    await first.commit(chain('a'), '', file('a'))
    await first.commit(chain('b'), chain('a'), file('b'))
    await first.stop()
    const record = join(root, 'snapshots/committed', chain('a').slice(7, 19), 'snapshot.json')
    const synced = JSON.parse(await readFile(record, 'utf8')) as object
    assert.ok(!('unsyncedIn' in synced))
    await writeFile(record, JSON.stringify({ ...synced, unsyncedIn: 'boot 1' }))
    assert.equal((await reopen()).committed(chain('b')), true)
    await opened[0]!.stop()
    await writeFile(record, JSON.stringify({ ...synced, unsyncedIn: 'boot 1' }))
    await writeFile(bootId, 'boot 2\n')
    const third = await reopen()
    assert.deepEqual([third.committed(chain('a')), third.committed(chain('b'))], [false, false])
    assert.deepEqual(await folders('committed'), ['empty'])
  })

  it('are refused on a file system that cannot carry them', async () => {
    const snapshots = await open()
    const { path } = await snapshots.mount('c', '')
    const nested = new OverlaySnapshotter(path, silentLogger, calls, undefined, bootId)
    await assert.rejects(
      nested.start(),
      (error: unknown) =>
        GantryError.is(error, 'FailedPrecondition') && /is on an overlay file system/.test(error.message),
    )
  })

  it('sweep what nothing stands on', async () => {
    const snapshots = await open()
    for (const [name, parent] of [
      ['a', ''],
      ['b', 'a'],
      ['c', 'b'],
      ['d', 'a'],
      ['e', ''],
    ] as const)
      await snapshots.commit(chain(name), parent === '' ? '' : chain(parent), file(name))
    const left = (): string => ['a', 'b', 'c', 'd', 'e'].filter((name) => snapshots.committed(chain(name))).join('')
    await snapshots.mount('x', chain('b'))
    const release = snapshots.leases.acquire([chain('e')])
    await snapshots.sweep(new Set([chain('d')]))
    assert.equal(left(), 'abde')
    release()
    await snapshots.sweep(new Set())
    assert.equal(left(), 'ab')
    await snapshots.remove('x')
    await snapshots.sweep(new Set())
    assert.equal(left(), '')
  })
})

const NOTHING = { lookup: () => Promise.resolve(undefined) }

function hasCode(code: GantryError['code']) {
  return (error: unknown): boolean => GantryError.is(error, code)
}
