import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { LineSplitter, parseLine } from '../../../agent/streams/logs/line.ts'
import { logFiles, removeFilesBefore, rotate } from '../../../agent/streams/logs/log-files.ts'
import { readLog, type LogOptions } from '../../../agent/streams/logs/log-reader.ts'
import { tailLines } from '../../../agent/streams/logs/tail.ts'
import { until } from '../fakes.ts'

const ALL: LogOptions = { tail: undefined, since: undefined, timestamps: false, limit: undefined, follow: false }
const time = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000001Z`
const entry = (second: number, text: string, tag = 'F', stream = 'stdout'): string =>
  `${time(second)} ${stream} ${tag} ${text}\n`

describe('container logs', () => {
  let directory: string
  let live: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-logs-'))
    live = join(directory, '0.log')
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  async function read(options: Partial<LogOptions> = {}): Promise<string> {
    let text = ''
    for await (const chunk of readLog(
      { path: live, ended: () => true, onChange: () => () => undefined },
      { ...ALL, ...options },
      new AbortController().signal,
    ))
      text += Buffer.from(chunk).toString()
    return text
  }

  it('parses entries and passes over what is none', () => {
    assert.deepEqual(parseLine(Buffer.from(entry(1, 'a b').trimEnd())), {
      time: time(1),
      stream: 'stdout',
      whole: true,
      content: Buffer.from('a b\n'),
    })
    assert.equal(parseLine(Buffer.from(entry(1, 'part', 'P').trimEnd()))!.whole, false)
    for (const text of ['', 'x', 'a b c', `${time(1)} other F x`]) assert.equal(parseLine(Buffer.from(text)), undefined)
  })

  it('splits bytes that come in any pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z ]{0,20}$/), { maxLength: 10 }),
        fc.integer({ min: 1, max: 40 }),
        (texts, size) => {
          const bytes = Buffer.from(texts.map((text, index) => entry(index, text)).join(''))
          const splitter = new LineSplitter()
          const found: string[] = []
          for (let at = 0; at < bytes.length; at += size)
            found.push(
              ...splitter.push(bytes.subarray(at, at + size)).map((line) => Buffer.from(line.content).toString()),
            )
          assert.deepEqual(
            found,
            texts.map((text) => `${text}\n`),
          )
          assert.equal(splitter.pending, 0)
        },
      ),
    )
  })

  it('reads across rotated files, oldest first', async () => {
    await writeFile(`${live}.2`, entry(1, 'one'))
    await writeFile(`${live}.1`, entry(2, 'two'))
    await writeFile(live, entry(3, 'three'))
    assert.equal(await read(), 'one\ntwo\nthree\n')
    assert.equal(await read({ tail: 2 }), 'two\nthree\n')
    assert.equal(await read({ tail: 0 }), '')
    assert.equal(await read({ tail: 99 }), 'one\ntwo\nthree\n')
    assert.equal(await read({ since: Date.parse(time(2)) }), 'two\nthree\n')
    assert.equal(await read({ timestamps: true, tail: 1 }), `${time(3)} three\n`)
    assert.equal(await read({ limit: 5 }), 'one\nt')
  })

  it('reads what one stream was written, and counts lines of both', async () => {
    await writeFile(live, entry(1, 'out') + entry(2, 'err', 'F', 'stderr') + entry(3, 'out again'))
    assert.equal(await read({ stream: 'stderr' }), 'err\n')
    assert.equal(await read({ stream: 'stdout', limit: 6 }), 'out\nou')
    assert.equal(await read({ stream: 'stdout', tail: 2 }), 'out again\n')
  })

  it('joins the parts of a line', async () => {
    await writeFile(live, entry(1, 'be', 'P') + entry(1, 'other', 'F', 'stderr') + entry(2, 'gun'))
    assert.equal(await read(), 'other\nbegun\n')
    await writeFile(
      live,
      entry(1, 'other', 'F', 'stderr') + entry(1, 'be', 'P') + entry(2, 'gun') + entry(3, 'no newline', 'P'),
    )
    assert.equal(await read({ tail: 1 }), 'begun\nno newline')
  })

  it('finds the end of a long log without reading it all', async () => {
    const lines = Array.from({ length: 5000 }, (_, index) =>
      entry(index % 60, `line ${index} ${'x'.repeat(index % 90)}`),
    )
    await writeFile(live, lines.join(''))
    for (const tail of [1, 7, 700, 4999, 5000]) assert.equal((await read({ tail })).split('\n').length - 1, tail)
    assert.equal(
      Buffer.from((await tailLines([live], 1, 1000))[0]!.content).toString(),
      `line 4999 ${'x'.repeat(4999 % 90)}\n`,
    )
    assert.deepEqual(await tailLines([join(directory, 'none')], 5, 1000), [])
  })

  it('takes no more of an endless line than is asked for', async () => {
    await writeFile(live, Array.from({ length: 2000 }, () => entry(1, 'x'.repeat(1000), 'P')).join(''))
    const lines = await tailLines([live], 80, 2500)
    assert.deepEqual(
      lines.map(({ content }) => content.length),
      [1000, 1000, 1000],
    )
  })

  it('is empty where nothing was written', async () => assert.equal(await read(), ''))

  it('follows across a rotation until the container has ended', async () => {
    await writeFile(live, entry(1, 'one'))
    let ended = false
    let changed = (): void => undefined
    let text = ''
    const source = {
      path: live,
      ended: () => ended,
      onChange: (handler: () => void) => ((changed = handler), () => undefined),
    }
    const reading = (async () => {
      for await (const chunk of readLog(source, { ...ALL, follow: true }, new AbortController().signal))
        text += Buffer.from(chunk).toString()
    })()
    await until('the first line', () => text === 'one\n')
    await appendFile(live, entry(2, 'two'))
    await until('the second line', () => text === 'one\ntwo\n')
    await rotate(live, { size: 1, files: 3 }, () => writeFile(live, entry(3, 'three')))
    await rotate(live, { size: 1, files: 3 }, () => writeFile(live, entry(4, 'four')))
    await until('the lines after two rotations', () => text === 'one\ntwo\nthree\nfour\n')
    ended = true
    changed()
    await reading
  })

  it('follows a log that is begun anew, and tells nothing twice', async () => {
    const old = new Date(Date.parse(time(1)))
    await writeFile(`${live}.1`, entry(1, 'rotated away'))
    await utimes(`${live}.1`, old, old)
    await writeFile(live, entry(2, 'dropped'))
    let ended = false
    let changed = (): void => undefined
    let text = ''
    const source = {
      path: live,
      ended: () => ended,
      onChange: (handler: () => void) => ((changed = handler), () => undefined),
    }
    const reading = (async () => {
      for await (const chunk of readLog(source, { ...ALL, follow: true }, new AbortController().signal))
        text += Buffer.from(chunk).toString()
    })()
    await until('what was there', () => text === 'rotated away\ndropped\n')
    await writeFile(`${live}.tmp`, entry(3, 'begun anew'))
    await rename(`${live}.tmp`, live)
    await until('what was written anew', () => text.endsWith('begun anew\n'))
    ended = true
    changed()
    await reading
    assert.equal(text, 'rotated away\ndropped\nbegun anew\n')
  })

  it('ends a follower that is no longer wanted', async () => {
    await writeFile(live, entry(1, 'one'))
    const wanted = new AbortController()
    let lines = 0
    const reading = (async () => {
      for await (const _ of readLog(
        { path: live, ended: () => false, onChange: () => () => undefined },
        { ...ALL, follow: true },
        wanted.signal,
      ))
        lines++
    })()
    await until('a line', () => lines === 1)
    wanted.abort()
    await reading
  })

  it('keeps a bounded number of files', async () => {
    for (let turn = 0; turn < 6; turn++) {
      await writeFile(live, `${turn}`)
      await rotate(live, { size: 1, files: 3 }, () => writeFile(live, 'new'))
    }
    assert.deepEqual(await logFiles(live), [`${live}.2`, `${live}.1`, live])
    assert.equal(await readFile(`${live}.1`, 'utf8'), '5')
  })

  it('removes the logs of old instances', async () => {
    for (const name of ['0.log', '0.log.1', '1.log', '10.log', 'other']) await writeFile(join(directory, name), '')
    await removeFilesBefore(directory, 2)
    assert.deepEqual((await readdir(directory)).sort(), ['10.log', 'other'])
    await removeFilesBefore(join(directory, 'none'), 2)
  })
})
