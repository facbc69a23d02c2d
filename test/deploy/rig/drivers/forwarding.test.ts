import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  holdForwarding,
  releaseForwarding,
  type ForwardingPlaces,
} from '../../../../deploy/rig/drivers/namespaces/forwarding.ts'

describe("the host's forwarding", () => {
  let folder: string
  let places: ForwardingPlaces

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-forwarding-'))
    places = { setting: join(folder, 'ip_forward'), before: join(folder, 'before') }
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  const set = (value: string): Promise<void> => writeFile(places.setting, `${value}\n`)
  const value = async (): Promise<string> => (await readFile(places.setting, 'utf8')).trim()
  const needed = async (): Promise<boolean> => true
  const unneeded = async (): Promise<boolean> => false

  for (const before of ['0', '1']) {
    it(`is on while there is a rig, and ${before} again when the last has gone`, async () => {
      await set(before)
      await holdForwarding(places)
      await holdForwarding(places)
      assert.equal(await value(), '1')
      await releaseForwarding(needed, places)
      assert.equal(await value(), '1')
      await releaseForwarding(unneeded, places)
      assert.equal(await value(), before)
      assert.equal(existsSync(places.before), false)
    })
  }

  it('stays on for a rig that is made while the last one goes', async () => {
    await set('0')
    await holdForwarding(places)
    const answers = [false, true]
    await releaseForwarding(async () => answers.shift()!, places)
    assert.equal(await value(), '1')
    await releaseForwarding(unneeded, places)
    assert.equal(await value(), '0')
  })

  it('is left alone by who did not hold it', async () => {
    await set('1')
    await releaseForwarding(unneeded, places)
    assert.equal(await value(), '1')
  })
})
