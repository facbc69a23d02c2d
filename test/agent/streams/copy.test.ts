import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { copyInto, copyOut } from '../../../agent/streams/copy/copy.ts'
import { mayAccess, parseIdentity, READ, SEARCH, WRITE } from '../../../agent/streams/copy/process-credentials.ts'
import type { StreamTarget } from '../../../agent/streams/target.ts'
import { ArchiveWriter, readArchive } from '../../../proto/rpc/copy-archive.ts'
import { GantryError, type ErrorCode } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'
import { readProcess } from '../../../proto/base/process.ts'
import type { CopyInput, CopyStart } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'

const OTHER = 12_345

/** Files of a process whose root is a folder of the test's: all that a container is to a copy. */
describe('files of a container', () => {
  let folder: string
  let root: string
  const processes: ChildProcess[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-copy-'))
    chmodSync(folder, 0o755)
    root = join(folder, 'root')
    mkdirSync(join(root, 'bin'), { recursive: true })
    copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
    writeFileSync(join(folder, 'outside'), 'host')
  })

  afterEach(async () => {
    for (const child of processes.splice(0)) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null)
        await new Promise((resolve) => child.once('exit', resolve))
    }
    rmSync(folder, { recursive: true })
  })

  async function container(user = 0): Promise<StreamTarget> {
    const child = spawn('chroot', [`--userspec=${user}:${user}`, '--groups=', root, '/bin/busybox', 'sleep', '1000'], {
      stdio: 'ignore',
    })
    processes.push(child)
    await eventually(
      () =>
        readProcess(child.pid!, 'comm')?.trim() === 'busybox' || readProcess(child.pid!, 'comm')?.trim() === 'sleep',
    )
    return { running: () => ({ name: 'c', id: 'c', attempt: 0, pid: child.pid! }) } as unknown as StreamTarget
  }

  const start = (path: string, more: Partial<CopyStart> = {}): CopyStart => ({
    namespace: 'default',
    pod: 'p',
    container: 'c',
    path,
    into: true,
    name: '',
    noPreserve: false,
    ...more,
  })
  const signal = new AbortController().signal

  interface Item {
    readonly name: string
    readonly text?: string
    readonly mode?: number
    readonly target?: string
    readonly uid?: number
  }

  /** The inputs of a copy into the container. */
  async function* archive(items: readonly Item[], whole = true): AsyncGenerator<CopyInput> {
    const writer = new ArchiveWriter()
    const writing = (async () => {
      for (const { name, text, mode = 0o644, target, uid = 0 } of items) {
        const facts = { components: name === '' ? [] : name.split('/'), mode, uid, gid: uid, mtime: new Date(0) }
        if (target !== undefined) await writer.add(facts, 'symlink', target)
        else if (text === undefined) await writer.add({ ...facts, mode: 0o755 }, 'directory')
        else {
          let left = Buffer.from(text)
          await writer.addFile(facts, left.length, (buffer) => {
            const count = left.copy(buffer)
            left = left.subarray(count)
            return Promise.resolve(count)
          })
        }
      }
      writer.finish()
    })()
    for await (const value of writer.pieces()) yield { input: { case: 'archive', value } }
    await writing
    if (whole) yield { input: { case: 'end', value: true } }
  }

  async function put(
    target: StreamTarget,
    at: CopyStart,
    items: readonly Item[],
    whole = true,
  ): Promise<{ files: number; bytes: number }> {
    for await (const { output } of copyInto(target, at, archive(items, whole), signal))
      if (output?.case === 'end') return output.value
    throw new Error('no end')
  }

  /** What a copy out of the container brings: "name: content", "name -> target", "name/". */
  async function get(target: StreamTarget, path: string): Promise<{ items: string[]; warnings: readonly string[] }> {
    const items: string[] = []
    let warnings: readonly string[] = []
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for await (const { output } of copyOut(target, start(path, { into: false }), signal)) {
        if (output?.case === 'archive') yield output.value
        if (output?.case === 'end') warnings = output.value.warnings
      }
    }
    await readArchive(pieces(), async ({ components, type, target: leads }, content) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of content) chunks.push(chunk)
      const text = Buffer.concat(chunks).toString()
      const name = components.join('/')
      items.push(type === 'directory' ? `${name}/` : type === 'symlink' ? `${name} -> ${leads}` : `${name}: ${text}`)
    })
    return { items: items.sort(), warnings }
  }

  const fails =
    (code: ErrorCode, message: RegExp) =>
    (error: unknown): boolean =>
      GantryError.is(error, code) && message.test(error.message)

  it('come back as they were put there, whatever they are called', async () => {
    const target = await container()
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && Buffer.byteLength(text) < 250)
    let count = 0
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(name, { maxLength: 6 }),
        fc.string({ unit: 'binary', maxLength: 30_000, size: 'max' }),
        async (names, text) => {
          const at = `/d${++count}`
          await put(target, start(at), [{ name: '' }, ...names.map((one) => ({ name: one, text }))])
          assert.deepEqual(
            (await get(target, at)).items,
            ['/', ...names.map((one) => `${one}: ${Buffer.from(text).toString()}`)].sort(),
          )
        },
      ),
      { numRuns: 20, endOnFailure: true },
    )
  })

  it('go below a directory that is there, under their name; else to the path itself, whose directory must be there', async () => {
    const target = await container()
    mkdirSync(join(root, 'srv'))
    await put(target, start('/srv', { name: 'site' }), [{ name: '' }, { name: 'a', text: '1' }])
    await put(target, start('/srv/new/', { name: 'site' }), [{ name: '' }, { name: 'a', text: '2' }])
    await put(target, start('/srv/file', { name: 'x' }), [{ name: '', text: '3' }])
    assert.deepEqual(
      ['site/a', 'new/a', 'file'].map((path) => readFileSync(join(root, 'srv', path), 'utf8')),
      ['1', '2', '3'],
    )
    await assert.rejects(
      put(target, start('/none/new'), [{ name: '', text: '' }]),
      fails('NotFound', /^\/none: no such file or directory$/),
    )
    await assert.rejects(
      put(target, start('/srv/file/x'), [{ name: '', text: '' }]),
      fails('InvalidArgument', /^\/srv\/file(\/x)?: a part of the path is not a directory$|is not a directory/),
    )
    await assert.rejects(get(target, '/none'), fails('NotFound', /^\/none: no such file or directory$/))
  })

  it('never lead out of the container, whatever links it lays', async () => {
    const target = await container()
    mkdirSync(join(root, 'tmp'))
    symlinkSync('/', join(root, 'tmp/abs'))
    symlinkSync('../../../../../..', join(root, 'tmp/up'))
    symlinkSync(`/proc/1/root${folder}`, join(root, 'tmp/proc'))
    for (const link of ['abs', 'up']) {
      await put(target, start(`/tmp/${link}/inside-${link}`), [{ name: '', text: 'x' }])
      assert.ok(existsSync(join(root, `inside-${link}`)))
      assert.ok(!existsSync(`/inside-${link}`))
      await assert.rejects(get(target, `/tmp/${link}${folder}/outside`), fails('NotFound', /no such file/))
    }
    await assert.rejects(get(target, '/tmp/proc/outside'), fails('NotFound', /no such file/))
    await assert.rejects(
      put(target, start('/tmp/proc/evil'), [{ name: '', text: 'x' }]),
      fails('NotFound', /no such file/),
    )
    assert.deepEqual(readdirSync(folder).sort(), ['outside', 'root'])
  })

  it('of an archive with a link first and a file through it stay in the container', async () => {
    const target = await container()
    await put(target, start('/d'), [{ name: '' }, { name: 'link', target: folder }, { name: 'ok', text: '1' }])
    assert.equal(readlinkSync(join(root, 'd/link')), folder)
    await assert.rejects(
      put(target, start('/d'), [{ name: '' }, { name: 'link/evil', text: 'x' }]),
      fails('NotFound', /no such file/),
    )
    assert.deepEqual(readdirSync(folder).sort(), ['outside', 'root'])
  })

  it('replace a link itself, not what it leads to', async () => {
    const target = await container()
    writeFileSync(join(root, 'real'), 'before')
    symlinkSync('real', join(root, 'link'))
    await put(target, start('/link'), [{ name: '', text: 'after' }])
    assert.deepEqual(
      [readFileSync(join(root, 'real'), 'utf8'), lstatSync(join(root, 'link')).isFile()],
      ['before', true],
    )
  })

  it('stand there whole or not at all', async () => {
    const target = await container()
    writeFileSync(join(root, 'app.conf'), 'before')
    const cut = async function* (): AsyncGenerator<CopyInput> {
      for await (const message of archive([{ name: '', text: 'x'.repeat(500_000) }], false)) {
        yield message
        return
      }
    }
    const copying = async (): Promise<void> => {
      for await (const _ of copyInto(target, start('/app.conf'), cut(), signal)) assert.fail('it has no end')
    }
    await assert.rejects(copying(), fails('Unavailable', /cut off before it was complete/))
    assert.deepEqual(
      [readFileSync(join(root, 'app.conf'), 'utf8'), readdirSync(root).sort()],
      ['before', ['app.conf', 'bin']],
    )
  })

  it("belong to whom root says, and to the container's user where it is another", async () => {
    const asRoot = await container()
    await put(asRoot, start('/a'), [{ name: '', text: 'x', mode: 0o4751, uid: 77 }])
    await put(asRoot, start('/b', { noPreserve: true }), [{ name: '', text: 'x', mode: 0o4777, uid: 77 }])
    mkdirSync(join(root, 'home'))
    chownSync(join(root, 'home'), OTHER, OTHER)
    await put(await container(OTHER), start('/home/c'), [{ name: '', text: 'x', mode: 0o4751, uid: 0 }])
    const facts = (path: string): string => {
      const { uid, gid, mode } = statSync(join(root, path))
      return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`
    }
    assert.deepEqual(['a', 'b', 'home/c'].map(facts), ['77:77 4751', '0:0 755', `${OTHER}:${OTHER} 751`])
  })

  it("are read and written with the rights of the container's user", async () => {
    const target = await container(OTHER)
    mkdirSync(join(root, 'closed/below'), { recursive: true })
    chmodSync(join(root, 'closed'), 0o700)
    for (const [path, mode] of [
      ['secret', 0o600],
      ['closed/open', 0o644],
      ['open', 0o644],
    ] as const) {
      writeFileSync(join(root, path), 'x')
      chmodSync(join(root, path), mode)
    }
    assert.deepEqual((await get(target, '/open')).items, [': x'])
    await assert.rejects(get(target, '/secret'), fails('Forbidden', /user 12345 may not read \/secret/))
    await assert.rejects(
      get(target, '/closed/open'),
      fails('Forbidden', /may not enter a directory on the way to \/closed\/open/),
    )
    await assert.rejects(
      put(target, start('/new'), [{ name: '', text: 'x' }]),
      fails('Forbidden', /may not write to \/$/),
    )
    const { items, warnings } = await get(target, '/')
    assert.ok(items.includes('open: x') && !items.some((item) => item.startsWith('secret')))
    assert.ok(
      warnings.some((warning) => /may not read \/secret$/.test(warning)) &&
        warnings.some((warning) => /may not read \/closed/.test(warning)),
      warnings.join('\n'),
    )
  })

  it('that are no files are left out with a word', async () => {
    const target = await container()
    mkdirSync(join(root, 'd'))
    spawn('mkfifo', [join(root, 'd/pipe')])
    await eventually(() => existsSync(join(root, 'd/pipe')))
    symlinkSync('nowhere', join(root, 'd/link'))
    const { items, warnings } = await get(target, '/d')
    assert.deepEqual(
      [items, warnings],
      [['/', 'link -> nowhere'], ['/d/pipe is neither a file nor a directory and was left out']],
    )
  })

  it('that are no files are told of a hundred times at most', async () => {
    const target = await container()
    mkdirSync(join(root, 'd'))
    await run(
      'mkfifo',
      Array.from({ length: 250 }, (_, index) => join(root, `d/pipe${index}`)),
    )
    const { warnings } = await get(target, '/d')
    assert.deepEqual([warnings.length, warnings.at(-1)], [101, '150 more of the kind'])
  })

  it('are copied as deep as the agent can hold directories open, and the rest is told of', async () => {
    const target = await container()
    let held = openSync(root, constants.O_DIRECTORY)
    for (let level = 0; level < 400; level++) {
      const place = `/proc/self/fd/${held}/d`
      mkdirSync(place)
      const below = openSync(place, constants.O_DIRECTORY)
      closeSync(held)
      held = below
    }
    closeSync(held)
    const { items, warnings } = await get(target, '/d')
    assert.equal(items.length, 256)
    assert.match(warnings.join(), /^\/d\/d\/[d/]* is nested deeper than 255 directories; what is in it was left out$/)
  })

  it('are not looked for through more directories than the agent can hold open', async () => {
    const target = await container()
    mkdirSync(join(root, 'far/'.repeat(300)), { recursive: true })
    symlinkSync('far/'.repeat(300), join(root, 'link'))
    await assert.rejects(get(target, '/link'), fails('Forbidden', /more than 256 directories/))
  })

  it('never wait for the other end of a FIFO that stands in their place and cannot be replaced', async () => {
    const target = await container()
    await run('mkfifo', [join(folder, 'pipe')])
    writeFileSync(join(root, 'file'), '')
    await run('mount', ['--bind', join(folder, 'pipe'), join(root, 'file')])
    try {
      await assert.rejects(
        put(target, start('/file'), [{ name: '', text: 'x' }]),
        fails('InvalidArgument', /\/file is neither a file nor a directory/),
      )
    } finally {
      await run('umount', [join(root, 'file')])
    }
  })

  it('are not written by another user than may, though they cannot be replaced', async () => {
    const target = await container(OTHER)
    chmodSync(root, 0o777)
    writeFileSync(join(folder, 'hosts'), 'old', { mode: 0o644 })
    writeFileSync(join(root, 'hosts'), '')
    await run('mount', ['--bind', join(folder, 'hosts'), join(root, 'hosts')])
    try {
      await assert.rejects(
        put(target, start('/hosts'), [{ name: '', text: 'x' }]),
        fails('Forbidden', /may not write to \/hosts/),
      )
      assert.equal(readFileSync(join(folder, 'hosts'), 'utf8'), 'old')
    } finally {
      await run('umount', [join(root, 'hosts')])
    }
  })
})

describe('the rights of a process', () => {
  const status = (uid: number, gid: number, groups: string, capabilities: string): string =>
    `Name:\tx\nUid:\t0\t${uid}\t0\t0\nGid:\t0\t${gid}\t0\t0\nGroups:\t${groups}\nCapEff:\t${capabilities}\n`

  it('are those of the first class that it is in', () => {
    const user = parseIdentity(status(5, 6, '7 8', '0000000000000000'))
    const file = (uid: number, gid: number, mode: number): { uid: number; gid: number; mode: number } => ({
      uid,
      gid,
      mode,
    })
    assert.deepEqual(
      [mayAccess(user, file(5, 0, 0o477), READ), mayAccess(user, file(5, 0, 0o477), WRITE)],
      [true, false],
    )
    assert.deepEqual(
      [mayAccess(user, file(0, 7, 0o027), WRITE), mayAccess(user, file(0, 7, 0o027), READ)],
      [true, false],
    )
    assert.deepEqual(
      [mayAccess(user, file(0, 0, 0o001), SEARCH), mayAccess(user, file(0, 0, 0o001), READ)],
      [true, false],
    )
  })

  it('are all where a capability says so', () => {
    const nobody = { uid: 1, gid: 1, mode: 0 }
    assert.ok(mayAccess(parseIdentity(status(5, 6, '', '0000000000000002')), nobody, WRITE | READ))
    const reader = parseIdentity(status(5, 6, '', '0000000000000004'))
    assert.deepEqual([mayAccess(reader, nobody, READ | SEARCH), mayAccess(reader, nobody, WRITE)], [true, false])
  })
})
