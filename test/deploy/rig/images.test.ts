import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import type { Driver, Machine } from '../../../deploy/rig/contract.ts'
import { openImage } from '../../../deploy/rig/images/image-source.ts'
import { loadImage } from '../../../deploy/rig/images/load.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CommandOptions } from '../../../proto/base/command.ts'

describe('images for a rig', () => {
  const { signal } = new AbortController()
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-image-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })
  const writeLayout = async (): Promise<void> => {
    await mkdir(join(folder, 'blobs/sha256'), { recursive: true })
    for (const [path, content] of [
      ['oci-layout', '{}'],
      ['index.json', '{"a":1}'],
      ['blobs/sha256/abc', 'x'.repeat(100_000)],
    ])
      await writeFile(join(folder, path!), content!)
  }

  it('are archives of layouts, made anew for each machine', async () => {
    await writeLayout()
    const source = await openImage(folder, signal)
    for (let time = 0; time < 2; time++) {
      const entries = new Map<string, number>()
      for await (const entry of source.open().pipe(extract()))
        entries.set(entry.header.name, (await buffer(entry)).length)
      assert.deepEqual(
        [...entries],
        [
          ['oci-layout', 2],
          ['index.json', 7],
          ['blobs/sha256/abc', 100_000],
        ],
      )
    }
    await source.close()
  })

  it('are archives as they are', async () => {
    await writeFile(join(folder, 'a.tar'), 'bytes')
    assert.equal((await buffer((await openImage(join(folder, 'a.tar'), signal)).open())).toString(), 'bytes')
  })

  it('are named in vain where there are none', async () => {
    await assert.rejects(
      openImage(folder, signal),
      (error) =>
        GantryError.is(error, 'InvalidArgument') && /no OCI image layout: it has no "oci-layout"/.test(error.message),
    )
    await assert.rejects(
      openImage(join(folder, 'b.tar'), signal),
      (error) => GantryError.is(error, 'NotFound') && /there is no file or folder/.test(error.message),
    )
  })

  describe('on their way to nodes', () => {
    const driver = { installation: { node: '/usr/bin/node', dist: '/dist' } } as unknown as Driver
    const node = (name: string, answer: (options: CommandOptions) => Promise<string>): Machine =>
      ({
        spec: { name, runDir: `/run/${name}` },
        run: async (command: readonly string[], options: CommandOptions) => {
          assert.deepEqual(command, [
            '/usr/bin/node',
            '/dist/gantry-agent.cjs',
            'images',
            'load',
            '--run-dir',
            `/run/${name}`,
            '--name',
            'app:1',
          ])
          return { code: 0, stdout: await answer(options), stderr: '' }
        },
      }) as unknown as Machine
    const takes = async ({ stdin }: CommandOptions): Promise<string> =>
      `docker.io/library/app:1 sha256:${(await buffer(stdin as Readable)).length}\n`

    it('reach all of them', async () => {
      await writeFile(join(folder, 'a.tar'), 'bytes')
      const told: number[] = []
      const loaded = await loadImage(
        join(folder, 'a.tar'),
        driver,
        ['n1', 'n2', 'n3'].map((name) => node(name, takes)),
        { name: 'app:1', signal, progress: (done) => told.push(done) },
      )
      assert.deepEqual([loaded, told], [[{ reference: 'docker.io/library/app:1', digest: 'sha256:5' }], [1, 2, 3]])
    })

    it('are refused with the names of the nodes, or once where all say the same', async () => {
      await writeFile(join(folder, 'a.tar'), 'bytes')
      const fails = (reason: string) => (): Promise<string> =>
        Promise.reject(new GantryError('Internal', `nsenter a b exited with 1: gantry-agent: ${reason}`))
      await assert.rejects(
        loadImage(join(folder, 'a.tar'), driver, [node('n1', takes), node('n2', fails('the disk is full'))], {
          name: 'app:1',
          signal,
        }),
        /cannot be loaded: n2: the disk is full$/,
      )
      await assert.rejects(
        loadImage(
          join(folder, 'a.tar'),
          driver,
          ['n1', 'n2'].map((name) => node(name, fails('bad'))),
          { name: 'app:1', signal },
        ),
        /cannot be loaded: bad$/,
      )
    })
  })
})
