import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Image } from '../../../../agent/images/contract.ts'
import { ImageUserCache } from '../../../../agent/pods/steps/image-user-cache.ts'

describe('accounts of images', () => {
  let root: string
  const image = (digest: string): Image => ({
    reference: 'app',
    digest,
    id: digest,
    size: 1,
    config: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
  })

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gantry-accounts-'))
    mkdirSync(join(root, 'etc'))
    writeFileSync(join(root, 'etc/passwd'), 'app:x:7:7::/:/bin/sh\n')
  })

  afterEach(() => rmSync(root, { recursive: true }))

  it('are read once for an image, and for each image', async () => {
    const accounts = new ImageUserCache()
    const known = { passwd: 'app:x:7:7::/:/bin/sh\n', group: '' }
    assert.deepEqual(await accounts.read(image('sha256:a'), root), known)
    writeFileSync(join(root, 'etc/passwd'), 'changed')
    assert.deepEqual(await accounts.read(image('sha256:a'), root), known)
    assert.deepEqual(await accounts.read(image('sha256:b'), root), { passwd: 'changed', group: '' })
  })

  it('are read again after a failure, and once they were forgotten for others', async () => {
    const accounts = new ImageUserCache()
    await assert.rejects(accounts.read(image('sha256:a'), join(root, 'etc/passwd')))
    assert.equal((await accounts.read(image('sha256:a'), root)).group, '')
    writeFileSync(join(root, 'etc/group'), 'app:x:7:\n')
    for (let number = 0; number < 64; number++) await accounts.read(image(`sha256:${number}`), root)
    assert.equal((await accounts.read(image('sha256:a'), root)).group, 'app:x:7:\n')
  })
})
