import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sweepLocks, withLock } from '../../../deploy/rig/record-lock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { identify, type ProcessIdentity } from '../../../proto/base/process.ts'
import { eventually } from '../../eventually.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** The identity of a process that has ended. */
async function deadProcess(): Promise<ProcessIdentity> {
  const child = spawn('sleep', ['60'])
  const identity = await eventually(() => identify(child.pid!) ?? false)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.on('exit', resolve))
  return identity
}

describe('a lock between processes', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-lock-'))
    file = join(folder, 'web.lock')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('lets one at a time do its work, and leaves nothing', async () => {
    let inside = 0
    const seen: number[] = []
    await Promise.all(
      Array.from({ length: 20 }, () =>
        withLock(file, async () => {
          seen.push(++inside)
          await new Promise((resolve) => setImmediate(resolve))
          inside--
        }),
      ),
    )
    assert.deepEqual(seen, Array(20).fill(1))
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is let go of by work that fails', async () => {
    await assert.rejects(
      withLock(file, () => Promise.reject(new Error('no'))),
      /no/,
    )
    assert.equal(await withLock(file, async () => 7), 7)
  })

  it('is held by the process that lives, which the error names', async () => {
    writeFileSync(file, JSON.stringify({ ...identify(process.pid)!, turn: -1 }))
    await assert.rejects(
      withLock(file, async () => undefined, 20),
      (thrown) => GantryError.is(thrown, 'Unavailable') && thrown.message.includes(`process ${process.pid}`),
    )
    assert.deepEqual(readdirSync(folder), ['web.lock'])
  })

  it('is taken over from one that has died, also when another died while taking it over', async () => {
    const dead = { ...(await deadProcess()), turn: 0 }
    const deadToo = { ...(await deadProcess()), turn: 4 }
    writeFileSync(file, JSON.stringify(dead))
    writeFileSync(`${file}.${dead.pid}-${dead.startTime}-${dead.turn}`, JSON.stringify(deadToo))
    assert.equal(await withLock(file, async () => 'mine'), 'mine')
    assert.deepEqual(readdirSync(folder), [])
  })

  it('holds between processes that change one number', async () => {
    const number = join(folder, 'number')
    writeFileSync(number, '0')
    writeFileSync(file, JSON.stringify({ ...(await deadProcess()), turn: 0 }))
    const script = `
      import { readFileSync, writeFileSync } from 'node:fs'
      import { withLock } from '${ROOT}/deploy/rig/record-lock.ts'
      for (let turn = 0; turn < 40; turn++) await withLock('${file}', async () => {
        const before = Number(readFileSync('${number}', 'utf8'))
        await new Promise((resolve) => setImmediate(resolve))
        writeFileSync('${number}', String(before + 1))
      })`
    const codes = await Promise.all(
      [0, 1, 2].map(
        () =>
          new Promise((resolve) => {
            spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
              cwd: ROOT,
              stdio: ['ignore', 'ignore', 'inherit'],
            }).on('exit', resolve)
          }),
      ),
    )
    assert.deepEqual(codes, [0, 0, 0])
    const { readFileSync } = await import('node:fs')
    assert.equal(readFileSync(number, 'utf8'), '120')
    assert.deepEqual(readdirSync(folder), ['number'])
  })

  it('leaves of the dead nothing behind', async () => {
    const dead = await deadProcess()
    writeFileSync(file, JSON.stringify({ ...dead, turn: 1 }))
    writeFileSync(`${file}.${dead.pid}-3`, '{')
    writeFileSync(join(folder, 'api.lock'), JSON.stringify({ ...identify(process.pid)!, turn: 1 }))
    await sweepLocks(folder)
    assert.deepEqual(readdirSync(folder), ['api.lock'])
  })
})
