/** What a container may do to harm the agent, tried with the real runtimes. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ContainerSpec, ContainerState, Mount } from '../../agent/runtime/contract.ts'
import type { OciDriver } from '../../agent/runtime/oci/driver.ts'
import { PodFolders } from '../../agent/volumes/pod-folders.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'
import { containerSpec, sandboxSpec, seen } from '../contract/runtime.ts'

const MEBIBYTE = 1024 * 1024

for (const runtime of ['crun', 'runc'] as const) {
  describe(`a hostile container (${runtime})`, function () {
    this.timeout(60_000)
    let machine: RuntimeMachine
    let driver: OciDriver

    beforeEach(async () => {
      machine = await RuntimeMachine.make(runtime)
      driver = machine.driver({ logSizeMax: MEBIBYTE })
      await driver.start()
    })

    afterEach(async () => {
      await driver.stop()
      await machine.cleanUp()
    })

    async function start(id: string, line: string, change: Partial<ContainerSpec> = {}): Promise<void> {
      await driver.createSandbox(sandboxSpec('pod'))
      await driver.createContainer(containerSpec(machine, id, 'pod', ['/bin/sh', '-c', line], change))
      await driver.startContainer(id)
    }

    function exited(id: string): Promise<Extract<ContainerState, { state: 'exited' }>> {
      return seen(machine, `${id} exited`, async () => {
        const state = await driver.containerState(id)
        return state?.state === 'exited' ? state : undefined
      })
    }

    it('cannot fill the memory of the agent through files that it is given to write to', async () => {
      await driver.createSandbox(sandboxSpec('pod'))
      const folders = new PodFolders(join(machine.directory, 'pods'), join(machine.directory, 'memory'), (uid) =>
        driver.podFiles(uid),
      )
      const files = {
        '/etc/hosts': folders.etc('pod', 'hosts'),
        '/dev/termination-log': folders.terminationMessage('pod', 'main', 0),
      }
      const mounts = Object.entries(files).map(([destination, source]): Mount => {
        mkdirSync(dirname(source), { recursive: true })
        writeFileSync(source, '')
        chmodSync(source, 0o666)
        return { type: 'bind', source, destination, readOnly: false }
      })
      await start(
        'main',
        'for file in /etc/hosts /dev/termination-log; do dd if=/dev/zero of=$file bs=64k count=1024; done; exit 0',
        { mounts },
      )
      assert.equal((await exited('main')).exitCode, 0)
      const sizes = await Promise.all(Object.values(files).map(async (file) => (await stat(file)).size))
      assert.ok(sizes[0]! + sizes[1]! <= 4 * MEBIBYTE, `they have ${sizes.join(' and ')} bytes`)
      assert.ok(sizes[0]! > 0)
      const { blocks, bsize, files: inodes } = statfsSync(driver.podFiles('pod'))
      assert.ok(blocks * bsize <= 4 * MEBIBYTE && inodes <= 10_000)
      // The place is full; the next instance is started all the same.
      writeFileSync(folders.terminationMessage('pod', 'main', 1), '')
      await driver.removeSandbox('pod')
      await assert.rejects(stat(driver.podFiles('pod')), { code: 'ENOENT' })
    })

    it('cannot fill the disk by writing faster than its log is rotated', async () => {
      await start('main', 'seq 400000; echo the end')
      let largest = 0
      const done = exited('main')
      let over = false
      void done.finally(() => (over = true))
      while (!over) {
        largest = Math.max(largest, (await stat(machine.logPath('main'))).size)
        await machine.pass()
      }
      assert.equal((await done).exitCode, 0)
      assert.ok(largest <= MEBIBYTE + 64 * 1024, `the log had ${largest} bytes`)
      assert.match(await machine.log('main'), /the end\n$/)
      assert.deepEqual(await readdir(join(machine.directory, 'logs')), ['main.log'])
    })
  })
}
