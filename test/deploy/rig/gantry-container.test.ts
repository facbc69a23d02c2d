/** How a cluster of containers is stopped, whatever became of its container. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { StartedTestContainer, StoppedTestContainer } from 'testcontainers'
import { StartedGantryContainer } from '../../../deploy/rig/testing/gantry-container.ts'

const PORTS = { controllers: [7443], kube: [6443] }
const CONTEXT =
  'contexts:\n  - name: default\n    server: ["10.87.0.2:7443"]\n    ca: "-----BEGIN CERTIFICATE-----"\n    cert: "-----BEGIN CERTIFICATE-----"\n    key: "-----BEGIN PRIVATE KEY-----"\n'

describe('GantryContainer.stop', () => {
  let stops: number
  /** The container of a cluster that answers; `stop` is what the engine says to that. */
  const started = (stop: () => Promise<unknown>): Promise<StartedGantryContainer> =>
    StartedGantryContainer.over(
      {
        exec: ([program]: string[]) =>
          Promise.resolve({
            exitCode: 0,
            stdout: program === 'cat' ? CONTEXT : '{"value":[]}',
            stderr: '',
            output: '',
          }),
        getHost: () => 'localhost',
        getMappedPort: (port: number) => port,
        getId: () => 'c0ffee',
        stop: () => {
          stops++
          return stop()
        },
      } as unknown as StartedTestContainer,
      PORTS,
    )
  const refusal = (statusCode?: number): Error =>
    Object.assign(new Error('the engine says no'), statusCode === undefined ? {} : { statusCode })

  beforeEach(() => (stops = 0))

  it('stops once, however often it is called', async () => {
    const stopped = {} as StoppedTestContainer
    const cluster = await started(() => Promise.resolve(stopped))
    assert.deepEqual(await Promise.all([cluster.stop(), cluster.stop()]), [stopped, stopped])
    assert.equal(await cluster.stop(), stopped)
    assert.equal(stops, 1)
  })

  for (const status of [304, 404]) {
    it(`takes a container that is not there any more for stopped (${status})`, async () => {
      const cluster = await started(() => Promise.reject(refusal(status)))
      assert.equal((await cluster.stop()).getId(), 'c0ffee')
    })
  }

  it('removes what is here although the engine is gone, says so, and may be tried again', async () => {
    let gone = true
    const cluster = await started(() => (gone ? Promise.reject(refusal()) : Promise.resolve({})))
    const file = await cluster.getContextFile()
    await assert.rejects(cluster.stop(), {
      code: 'Unavailable',
      message: /the Docker engine does not answer: the container c0ffee may go on running/,
    })
    assert.equal(existsSync(dirname(file)), false)
    gone = false
    await cluster.stop()
    assert.equal(stops, 2)
  })

  it('hands on what else the engine says', async () => {
    await assert.rejects((await started(() => Promise.reject(refusal(500)))).stop(), { statusCode: 500 })
  })
})
