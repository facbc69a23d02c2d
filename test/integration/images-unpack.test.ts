import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { LowerView, type LayerFolder } from '../../agent/images/snapshots/lower-view.ts'
import { unpackLayer } from '../../agent/images/unpack/layer.ts'
import { encodeHeader, END_OF_ARCHIVE } from '../../agent/images/unpack/tar-writer.ts'
import type { TarEntry } from '../../agent/images/unpack/tar-entry.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { sha256 } from '../../deploy/image-builder.ts'

const execute = promisify(execFile)
const signal = new AbortController().signal
type Entry = Partial<Header> & { name: string; content?: string | Buffer }

describe('layers unpacked', () => {
  let root: string
  let folders: LayerFolder[]

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-unpack-'))
    folders = []
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  /** Unpacks on top of what was unpacked before in this test. */
  async function unpack(tar: Buffer, options: { blob?: Buffer; diffId?: string; into?: string } = {}): Promise<string> {
    const directory = options.into ?? join(root, `layer${folders.length}`)
    await mkdir(directory, { recursive: true })
    const blob = options.blob ?? tar
    const { opaque } = await unpackLayer(
      { digest: sha256(blob), diffId: options.diffId ?? sha256(tar), open: () => Readable.from(pieces(blob)) },
      directory,
      new LowerView(folders),
      signal,
    )
    folders.unshift({ path: directory, opaque: new Set(opaque) })
    return directory
  }
  async function refused(entries: Entry[] | Buffer, message: RegExp): Promise<void> {
    const tar = Buffer.isBuffer(entries) ? entries : await archive(entries)
    await assert.rejects(unpack(tar), (error: unknown) => {
      assert.ok(GantryError.is(error, 'InvalidArgument'), String(error))
      assert.match(error.message, message)
      assert.ok(error.message.startsWith(`layer ${sha256(tar)} `), error.message)
      return true
    })
    await assert.rejects(stat('/gantry-escaped'), { code: 'ENOENT' })
    await assert.rejects(stat(join(root, 'gantry-escaped')), { code: 'ENOENT' })
  }

  it('keep owners, modes, times, links, devices and attributes', async () => {
    const mtime = new Date(1_000_000_000_000)
    const layer = await unpack(
      await archive([
        { name: './', type: 'directory', mode: 0o711 },
        { name: 'a/', type: 'directory', mode: 0o1777, uid: 70_000, gid: 5, mtime },
        { name: 'a/su', mode: 0o6755, uid: 1, mtime, content: 'x', pax: { gid: '3000000' } },
        { name: 'a/hard', type: 'link', linkname: 'a/su' },
        { name: 'a/out', type: 'symlink', linkname: '../../../../etc/passwd', uid: 9 },
        { name: 'a/none', mode: 0o001, content: '' },
        { name: 'a/pipe', type: 'fifo', mode: 0o600 },
        { name: 'a/null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
        { name: `a/${'long'.repeat(60)}`, content: 'long' },
        {
          name: 'a/capable',
          content: 'x',
          pax: {
            'SCHILY.xattr.security.capability': '\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0',
            'SCHILY.xattr.user.note': 'hello',
            'SCHILY.xattr.security.selinux': 'left out',
          },
        },
      ]),
    )
    assert.equal((await stat(layer)).mode & 0o7777, 0o711)
    const a = await stat(join(layer, 'a'))
    assert.deepEqual([a.mode & 0o7777, a.uid, a.gid, a.mtimeMs], [0o1777, 70_000, 5, mtime.getTime()])
    const su = await stat(join(layer, 'a/su'))
    assert.deepEqual(
      [su.mode & 0o7777, su.uid, su.gid, su.mtimeMs, su.nlink],
      [0o6755, 1, 3_000_000, mtime.getTime(), 2],
    )
    assert.equal(await readlink(join(layer, 'a/out')), '../../../../etc/passwd')
    assert.equal((await lstat(join(layer, 'a/out'))).uid, 9)
    assert.equal((await stat(join(layer, 'a/none'))).mode & 0o7777, 0o001)
    assert.ok((await stat(join(layer, 'a/pipe'))).isFIFO())
    const device = await stat(join(layer, 'a/null'))
    assert.deepEqual([device.isCharacterDevice(), device.rdev], [true, (await stat('/dev/null')).rdev])
    assert.equal(await readFile(join(layer, `a/${'long'.repeat(60)}`), 'utf8'), 'long')
    // tar itself reads back what is on disk.
    const { stdout } = await execute(
      'tar',
      ['--create', '--xattrs', '--xattrs-include=*', '--file=-', '-C', layer, 'a/capable'],
      { encoding: 'latin1' },
    )
    assert.ok(stdout.includes('SCHILY.xattr.security.capability=\x01\0\0\x02\0 \0'))
    assert.ok(stdout.includes('SCHILY.xattr.user.note=hello'))
    assert.ok(!stdout.includes('left out'))
  })

  it('keep names and attributes that are no UTF-8, byte for byte', async () => {
    const capability = Buffer.from('0100000280200000000000000000000000000000', 'hex').toString('latin1')
    const entry = {
      ...PLAIN,
      path: `caf\xe9/${'\xff'.repeat(120)}`,
      xattrs: new Map([['security.capability', capability]]),
    }
    const layer = await unpack(raw(entry))
    const [name] = await readdir(Buffer.from(join(layer, 'caf\xe9'), 'latin1'), { encoding: 'buffer' })
    assert.deepEqual(name, Buffer.alloc(120, 0xff))
    const { stdout } = await execute(
      'tar',
      ['--create', '--xattrs', '--xattrs-include=*', '--file=-', '-C', layer, '.'],
      { encoding: 'latin1' },
    )
    assert.ok(stdout.includes(`SCHILY.xattr.security.capability=${capability}`))
  })

  for (const [name, compress] of [
    ['gzip', (tar: Buffer) => Promise.resolve(gzipSync(tar))],
    ['zstd', zstd],
  ] as const) {
    it(`read ${name}, and tell a damaged or truncated blob`, async () => {
      const tar = await archive([{ name: 'f', content: Buffer.alloc(300_000, 'abc') }])
      const blob = await compress(tar)
      const layer = await unpack(tar, { blob })
      assert.equal((await stat(join(layer, 'f'))).size, 300_000)
      const damaged = Buffer.from(blob)
      damaged.fill(0xff, 30, 60)
      await assert.rejects(
        unpack(tar, { blob: blob.subarray(0, blob.length - 20) }),
        hasCode('InvalidArgument', /^layer sha256:[0-9a-f]{64} is damaged/),
      )
      await assert.rejects(unpack(tar, { blob: damaged }), hasCode('InvalidArgument', /^layer sha256:[0-9a-f]{64} /))
    })
  }

  it('tell an archive that ends too early, is none, or is another than the config says', async () => {
    const tar = await archive([{ name: 'f', content: Buffer.alloc(5000, 'x') }])
    await refused(tar.subarray(0, 3000), /ends after 3000 bytes, within an entry/)
    await refused(Buffer.alloc(2048, 'no tar'), /is no tar archive at byte 0/)
    await assert.rejects(
      unpack(tar, { diffId: sha256(Buffer.from('x')) }),
      hasCode('InvalidArgument', /uncompressed digest/),
    )
    assert.deepEqual(await readdir(await unpack(Buffer.alloc(1024))), [])
  })

  it('hide what is below: files by whiteouts, directories by whiteouts and opaque marks', async () => {
    await unpack(
      await archive([
        { name: 'etc/gone', content: '1' },
        { name: 'etc/kept', content: '1' },
        { name: 'dir/a', content: '1' },
        { name: 'again/a', content: '1' },
        { name: 'opaque/a', content: '1' },
      ]),
    )
    await unpack(
      await archive([
        { name: 'etc/.wh.gone', content: '' },
        { name: 'etc/.wh.never', content: '' },
        { name: '.wh.dir', content: '' },
        { name: 'again/b', content: '2' },
        { name: '.wh.again', content: '' },
        { name: 'opaque/b', content: '2' },
        { name: 'opaque/.wh..wh..opq', content: '' },
        { name: 'opaque/.wh.a', content: '' },
        { name: '.wh..wh.plnk', type: 'directory' },
      ]),
    )
    assert.deepEqual(await merged(), ['again', 'again/b', 'etc', 'etc/kept', 'opaque', 'opaque/b'])
    const view = new LowerView(folders)
    for (const path of ['etc/gone', 'dir', 'dir/a', 'again/a', 'opaque/a'])
      assert.equal(await view.lookup(path), undefined, path)
    assert.equal((await view.lookup('again/b'))?.type, 'other')
    // Marks without anything to hide would show in listings.
    assert.deepEqual(await readdir(join(root, 'layer1/etc')), ['gone'])
    assert.deepEqual(await readdir(join(root, 'layer1/opaque')), ['b'])
  })

  it('take missing parents from below, with their attributes', async () => {
    await unpack(
      await archive([{ name: 'home/', type: 'directory', mode: 0o700, uid: 7, gid: 8, mtime: new Date(5000) }]),
    )
    const layer = await unpack(await archive([{ name: 'home/new/file', content: 'x' }]))
    const home = await stat(join(layer, 'home'))
    assert.deepEqual([home.mode & 0o7777, home.uid, home.gid, home.mtimeMs], [0o700, 7, 8, 5000])
    assert.equal((await stat(join(layer, 'home/new'))).mode & 0o7777, 0o755)
  })

  it('go through symbolic links as a container would, never out of the root', async () => {
    await unpack(
      await archive([
        { name: 'usr/lib/', type: 'directory', mode: 0o750 },
        { name: 'lib', type: 'symlink', linkname: '/usr/lib' },
      ]),
    )
    await unpack(
      await archive([
        { name: 'lib/new', content: 'x' },
        { name: 'abs', type: 'symlink', linkname: '/etc' },
        { name: 'abs/gantry-escaped', content: 'x' },
      ]),
    )
    assert.deepEqual(await merged(), ['abs', 'etc', 'etc/gantry-escaped', 'lib', 'usr', 'usr/lib', 'usr/lib/new'])
    assert.equal((await lstat(join(root, 'layer1/usr/lib'))).mode & 0o7777, 0o750)
    await assert.rejects(stat('/etc/gantry-escaped'), { code: 'ENOENT' })
  })

  it('link to files of layers below', async () => {
    await unpack(await archive([{ name: 'bin/sh', content: '#!', mode: 0o755 }]))
    const layer = await unpack(await archive([{ name: 'bin/ash', type: 'link', linkname: './bin/sh' }]))
    assert.equal(await readFile(join(layer, 'bin/ash'), 'utf8'), '#!')
  })

  for (const [name, message, ...entries] of [
    [
      'a path with ".."',
      /entry "a\/\.\.\/\.\.\/gantry-escaped" has "\.\." in its path$/,
      { name: 'a/../../gantry-escaped', content: 'x' },
    ],
    ['an absolute path', /entry "\/gantry-escaped" is an absolute path$/, { name: '/gantry-escaped', content: 'x' }],
    [
      'a symbolic link that leads out',
      /entry "out\/gantry-escaped" leaves the root by a symbolic link/,
      { name: 'out', type: 'symlink', linkname: '../..' },
      { name: 'out/gantry-escaped', content: 'x' },
    ],
    [
      'a symbolic link that leads out later',
      /leaves the root/,
      { name: 'd/', type: 'directory' },
      { name: 'd/out', type: 'symlink', linkname: '../x/../..' },
      { name: 'd/out/gantry-escaped', content: 'x' },
    ],
    [
      'a loop of symbolic links',
      /entry "a\/x" has a loop of symbolic links/,
      { name: 'a', type: 'symlink', linkname: 'b' },
      { name: 'b', type: 'symlink', linkname: 'a' },
      { name: 'a/x', content: 'x' },
    ],
    [
      'a hard link out',
      /entry "f" is a hard link to "\.\.\/\.\.\/etc\/passwd", which has "\.\."/,
      { name: 'f', type: 'link', linkname: '../../etc/passwd' },
    ],
    [
      'a hard link to an absolute path',
      /entry "f" is a hard link to "\/etc\/passwd", which is an absolute path/,
      { name: 'f', type: 'link', linkname: '/etc/passwd' },
    ],
    [
      'a hard link through a symbolic link',
      /which is not there/,
      { name: 'e', type: 'symlink', linkname: '/etc' },
      { name: 'f', type: 'link', linkname: 'e/passwd' },
    ],
    ['a hard link to nothing', /which is not there or is a directory/, { name: 'f', type: 'link', linkname: 'none' }],
    ['a hard link to itself', /which is not there/, { name: 'f', type: 'link', linkname: 'f' }],
    [
      'a hard link to a directory',
      /is a directory/,
      { name: 'd/', type: 'directory' },
      { name: 'f', type: 'link', linkname: 'd' },
    ],
    ['a file twice', /entry "\.\/f" is there twice/, { name: 'f', content: '1' }, { name: './f', content: '2' }],
    [
      'a link replaced by a directory',
      /entry "e\/" is there twice/,
      { name: 'e', type: 'symlink', linkname: '/etc' },
      { name: 'e/', type: 'directory' },
    ],
    [
      'a file as a directory',
      /entry "f\/g" is within "f", which is no directory/,
      { name: 'f', content: '1' },
      { name: 'f/g', content: '2' },
    ],
    [
      'a forged whiteout',
      /entry "w" is the device 0\/0/,
      { name: 'w', type: 'character-device', devmajor: 0, devminor: 0 },
    ],
    [
      'forged overlay attributes',
      /entry "d\/" has the attribute trusted\.overlay\.redirect/,
      { name: 'd/', type: 'directory', pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/etc' } },
    ],
    ['a whiteout of the parent', /entry "d\/\.wh\.\.\." removes nothing/, { name: 'd/.wh...', content: '' }],
    ['a whiteout without a name', /removes nothing/, { name: '.wh.', content: '' }],
    ['something in a whiteout', /is within a removed file/, { name: '.wh.d/x', content: '' }],
    ['a root that is no directory', /is the root, yet no directory/, { name: './', type: 'symlink', linkname: '/etc' }],
    ['a name too long', /longer than 255 bytes/, { name: 'x'.repeat(256), content: '' }],
    ['a symbolic link without a target', /without a proper target/, { name: 'l', type: 'symlink', linkname: '' }],
  ] as [string, RegExp, ...Entry[]][]) {
    it(`refuse ${name}`, () => refused(entries, message))
  }

  it('refuse what only a hand-made archive can hold', async () => {
    await refused(raw({ ...PLAIN, path: 'a\0b'.padEnd(120, 'x') }), /is no path/)
    const sparse = raw(PLAIN)
    sparse[156] = 'S'.charCodeAt(0)
    withChecksum(sparse.subarray(0, 512))
    await assert.rejects(unpack(sparse), hasCode('Unsupported', /sparse/))
    const flipped = raw(PLAIN)
    flipped[0]! ^= 1
    await refused(flipped, /checksum/)
  })

  it('refuse device numbers whose digits would become part of a path', async () => {
    // Eight digits fill the field; the ten after them stand where the path begins, and are the name of a link that
    // leads out.
    const outside = join(root, 'outside')
    await mkdir(outside)
    const device = encodeHeader({ ...PLAIN, mtime: '1', path: 'gantry-escaped', type: 'character', major: 1 })
    device.writeBigUInt64BE((1n << 63n) | 0o100000000000000001n, 337)
    await refused(
      Buffer.concat([
        encodeHeader({ ...PLAIN, mtime: '1', path: '0000000001', type: 'symlink', link: outside }),
        withChecksum(device),
        END_OF_ARCHIVE,
      ]),
      /entry "gantry-escaped" is the device 1\/2251799813685249, which no machine has/,
    )
    assert.deepEqual(await readdir(outside), [])
  })

  it('refuse numbers below zero', async () => {
    const file = encodeHeader({ ...PLAIN, mtime: '1' })
    file.writeBigInt64BE(-1n, 128)
    file.writeInt32BE(-1, 124)
    await refused(Buffer.concat([withChecksum(file), END_OF_ARCHIVE]), /has a number below zero/)
  })

  it('say so when the disk is full', async () => {
    const disk = join(root, 'disk')
    await mkdir(disk)
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk])
    try {
      const tar = await archive([{ name: 'f', content: Buffer.alloc(4 << 20) }])
      await assert.rejects(
        unpack(tar, { into: disk }),
        hasCode('ResourceExhausted', /no space left on disk to unpack layer sha256:/),
      )
    } finally {
      await execute('umount', [disk])
    }
  })

  it('stop when they are not wanted any more', async () => {
    const leaving = new AbortController()
    const tar = await archive([{ name: 'f', content: Buffer.alloc(1 << 20) }])
    await mkdir(join(root, 'x'))
    const open = (): Readable =>
      Readable.from(
        (async function* () {
          yield tar.subarray(0, 1000)
          leaving.abort(new GantryError('Cancelled', 'not wanted'))
          yield await Promise.resolve(tar.subarray(1000))
        })(),
      )
    await assert.rejects(
      unpackLayer(
        { digest: sha256(tar), diffId: sha256(tar), open },
        join(root, 'x'),
        new LowerView([]),
        leaving.signal,
      ),
      hasCode('Cancelled', /not wanted/),
    )
  })

  /** What a container would see, as an overlay mount of all layers shows it. */
  async function merged(): Promise<string[]> {
    for (const folder of ['upper', 'work', 'merged']) await mkdir(join(root, folder), { recursive: true })
    for (const { path } of folders) await chmod(path, 0o755)
    await execute('mount', [
      '-t',
      'overlay',
      '-o',
      `lowerdir=${folders.map(({ path }) => path).join(':')},upperdir=${join(root, 'upper')},workdir=${join(root, 'work')}`,
      'overlay',
      join(root, 'merged'),
    ])
    try {
      const { stdout } = await execute('find', ['.', '-mindepth', '1', '-printf', '%P\\n'], {
        cwd: join(root, 'merged'),
      })
      return stdout.trim().split('\n').sort()
    } finally {
      await execute('umount', [join(root, 'merged')])
    }
  }
  async function zstd(bytes: Buffer): Promise<Buffer> {
    await writeFile(join(root, 'plain'), bytes)
    await execute('zstd', ['--quiet', '--force', join(root, 'plain'), '-o', join(root, 'packed')])
    return readFile(join(root, 'packed'))
  }
})

const PLAIN: TarEntry = {
  path: 'f',
  type: 'file',
  link: '',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: '1.5',
  size: 0,
  major: 0,
  minor: 0,
  xattrs: new Map(),
}

function raw(entry: TarEntry): Buffer {
  return Buffer.concat([
    encodeHeader({ ...entry, mtime: entry.mtime === '1.5' && entry.path === 'f' ? '1' : entry.mtime }),
    END_OF_ARCHIVE,
  ])
}

function withChecksum(header: Buffer): Buffer {
  const checksum = header.reduce((sum, byte, place) => sum + (place >= 148 && place < 156 ? 32 : byte), 0)
  header.write(checksum.toString(8).padStart(6, '0'), 148)
  return header
}

async function archive(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack()
  const bytes = buffer(tar)
  for (const { content, ...header } of entries) {
    if (content === undefined) tar.entry(header)
    else tar.entry(header, Buffer.from(content))
  }
  tar.finalize()
  return bytes
}

function* pieces(blob: Buffer): Generator<Buffer> {
  for (let start = 0; start < blob.length; start += 1000) yield blob.subarray(start, start + 1000)
}

function hasCode(code: GantryError['code'], message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof GantryError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return true
  }
}
