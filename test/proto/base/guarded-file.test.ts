import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readGuarded, userCacheFolder, writeGuarded } from '../../../proto/base/guarded-file.ts'

const STRANGER = 12_345

describe('guarded files', () => {
  let folder: string
  const path = (): string => join(folder, 'kept/file')
  const read = (owner?: number): string | undefined => readGuarded(path(), { owner })?.toString()

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-guarded-'))
    assert.equal(writeGuarded(path(), 'content'), undefined)
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('are read as they were written, and written whole', () => {
    assert.equal(read(), 'content')
    writeGuarded(path(), Buffer.from('more'))
    assert.equal(read(), 'more')
    assert.deepEqual(readdirSync(join(folder, 'kept')), ['file'])
  })

  it('are for the user alone, or for all to read', () => {
    const modes = (): number[] => [join(folder, 'kept'), path()].map((file) => statSync(file).mode & 0o777)
    assert.deepEqual(modes(), [0o700, 0o600])
    rmSync(join(folder, 'kept'), { recursive: true })
    writeGuarded(path(), 'content', { isPublic: true })
    assert.deepEqual(modes(), [0o755, 0o644])
  })

  for (const mode of [0o620, 0o602, 0o666])
    it(`are not there where others may write to them (${mode.toString(8)})`, () => {
      chmodSync(path(), mode)
      assert.equal(read(), undefined)
      writeGuarded(path(), 'own')
      assert.equal(read(), 'own')
    })

  for (const mode of [0o770, 0o707, 0o1777])
    it(`are not there, nor written, where others may write to their folder (${mode.toString(8)})`, () => {
      chmodSync(join(folder, 'kept'), mode)
      assert.equal(read(), undefined)
      assert.match(writeGuarded(path(), 'own')!.message, /^others may write to /)
      chmodSync(join(folder, 'kept'), 0o700)
      assert.equal(read(), 'content')
    })

  it('are not there where they are something else', () => {
    rmSync(path())
    assert.equal(read(), undefined)
    symlinkSync('/etc/hostname', path())
    assert.equal(read(), undefined)
    rmSync(path())
    mkdirSync(path())
    assert.equal(read(), undefined)
    assert.notEqual(writeGuarded(path(), 'own'), undefined)
    assert.deepEqual(readdirSync(join(folder, 'kept')), ['file'])
  })

  it('are of the user, of root, or of whom else is named', function () {
    if (process.geteuid!() !== 0) return this.skip() // only root can give files away
    chownSync(path(), STRANGER, STRANGER)
    assert.equal(read(), undefined)
    assert.equal(read(STRANGER + 1), undefined)
    assert.equal(read(STRANGER), 'content')
    chownSync(path(), 0, 0)
    chownSync(join(folder, 'kept'), STRANGER, STRANGER)
    assert.equal(read(), undefined)
    assert.equal(read(STRANGER), 'content')
  })

  it("are in a folder of the user's own", function () {
    const home = join(folder, 'home')
    mkdirSync(home)
    assert.equal(userCacheFolder({ HOME: home }), join(home, '.cache/gantry'))
    assert.equal(userCacheFolder({ HOME: home, XDG_CACHE_HOME: folder }), join(folder, 'gantry'))
    assert.equal(userCacheFolder({ HOME: home, XDG_CACHE_HOME: 'relative' }), join(home, '.cache/gantry'))
    for (const none of [{}, { HOME: '' }, { HOME: 'relative' }, { HOME: join(folder, 'none') }])
      assert.equal(userCacheFolder(none), undefined)
    if (process.geteuid!() !== 0) return this.skip()
    chownSync(home, STRANGER, STRANGER)
    assert.equal(userCacheFolder({ HOME: home }), undefined)
  })

  it('are left out where the file system takes nothing', () => {
    writeFileSync(join(folder, 'no-folder'), '')
    assert.notEqual(writeGuarded(join(folder, 'no-folder/file'), 'content'), undefined)
    assert.equal(readGuarded(join(folder, 'no-folder/file')), undefined)
  })
})
