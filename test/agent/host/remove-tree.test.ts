import assert from 'node:assert/strict'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTree } from '../../../agent/host/remove-tree.ts'
import { diskUsage } from '../../../agent/volumes/disk-usage.ts'
import { run } from '../../../proto/base/command.ts'

describe('directories that a container wrote to', function () {
  this.timeout(60_000)
  let directory: string
  let tree: string

  beforeEach(async () => {
    directory = await mkdtemp('/dev/shm/gantry-trees-') // in memory: thirty thousand files take a disk many seconds
    tree = join(directory, 'tree')
    mkdirSync(tree)
  })

  afterEach(() => run('rm', ['-rf', '--', directory]))

  const gone = (): Promise<void> => assert.rejects(stat(tree), { code: 'ENOENT' })

  /** Deeper than a path may be long, made as a container does: by changing into each. */
  function dig(): void {
    let held = openSync(tree, constants.O_DIRECTORY)
    for (let level = 0; level < 30; level++) {
      const place = `/proc/self/fd/${held}/${'x'.repeat(200)}`
      mkdirSync(place)
      const below = openSync(place, constants.O_DIRECTORY)
      writeFileSync(`${place}/file`, 'some text')
      closeSync(held)
      held = below
    }
    closeSync(held)
  }

  it('are removed however deep they are', async () => {
    dig()
    await removeTree(tree)
    await gone()
  })

  it('are removed whatever bytes their names have', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), 'x')
    await removeTree(tree)
    await gone()
  })

  it('are removed without the event loop standing still, however many files they hold', async () => {
    for (let file = 0; file < 40_000; file++) writeFileSync(join(tree, `file-${file}`), '')
    let longest = 0
    let before = performance.now()
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - before)
      before = performance.now()
    }, 1)
    await removeTree(tree)
    clearInterval(beat)
    await gone()
    assert.ok(longest < 500, `it stood still for ${Math.round(longest)} ms`)
  })

  it('are removed without what their links lead to, and without a complaint where there are none', async () => {
    const other = mkdtempSync(join(directory, 'other-'))
    writeFileSync(join(other, 'kept'), '')
    symlinkSync(other, join(tree, 'link'))
    mkdirSync(join(tree, 'a/b'), { recursive: true })
    writeFileSync(join(tree, 'a/b/c'), '')
    await removeTree(tree)
    await gone()
    await removeTree(tree)
    assert.deepEqual(await readdir(other), ['kept'])
  })

  it('are not removed where something is mounted in them', async () => {
    mkdirSync(join(tree, 'mount'))
    await run('mount', ['-t', 'tmpfs', 'tmpfs', join(tree, 'mount')])
    try {
      writeFileSync(join(tree, 'mount/kept'), '')
      await assert.rejects(removeTree(tree), { code: 'Internal' })
      assert.ok(statSync(join(tree, 'mount')).isDirectory())
    } finally {
      await run('umount', [join(tree, 'mount')])
      rmdirSync(join(tree, 'mount'))
    }
  })

  it('are measured however deep or wide they are', async () => {
    const measured = async (): Promise<void> => {
      const { stdout } = await run('du', ['-s', '-B1', tree])
      const own = statSync(tree).blocks * 512
      const bytes = await diskUsage(tree)
      // What is counted right here leaves the directory itself out.
      assert.ok(
        [Number.parseInt(stdout), Number.parseInt(stdout) - own].includes(bytes),
        `${bytes} bytes, du says ${stdout}`,
      )
    }
    writeFileSync(join(tree, 'file'), Buffer.alloc(20_000))
    await measured()
    for (let file = 0; file < 3000; file++) writeFileSync(join(tree, `file-${file}`), '')
    await measured()
    await rm(tree, { recursive: true })
    mkdirSync(tree)
    dig()
    await measured()
  })
})
