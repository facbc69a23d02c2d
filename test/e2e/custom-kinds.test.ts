/**
 * Custom kinds on three controllers: defined through one, used through others, and there again after controllers have
 * been killed.
 */
import assert from 'node:assert/strict'
import { Rig } from '../../deploy/rig/rig.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import { cronTab, cronTabs } from '../controller/custom/plane.ts'
import { eventually } from '../eventually.ts'
import { rigName } from './cluster.ts'

describe('custom kinds on three controllers', function () {
  this.timeout(120_000)
  let rig: Rig

  before(async () => {
    const name = rigName('custom')
    await removeRig(name)
    rig = await Rig.up({ name, nodes: 0, controllers: 3, demo: false })
  })

  after(() => rig?.down())

  async function gantry(args: readonly string[], stdin = ''): Promise<string> {
    const { code, stdout, stderr } = await rig.gantry(args, stdin)
    assert.equal(code, 0, `gantry ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }

  it('are defined and made by one file, and seen through every controller', async () => {
    const columns = [{ name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' }]
    const manifests = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [cronTab('first', { replicas: 2 }), cronTabs({ additionalPrinterColumns: columns })],
    })
    const told = await gantry(['apply', '-f', '-'], manifests)
    assert.deepEqual(told.trim().split('\n'), [
      'customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created',
      'crontab.stable.example.com/first created',
    ])
    assert.match(await gantry(['apply', '-f', '-'], manifests), /first unchanged/)
    const servers = rig.context().server
    for (const server of servers)
      assert.match(await gantry(['--server', server, 'get', 'ct']), /^NAME +REPLICAS\nfirst +2\n$/)
  })

  it('are owned by others, and go with them and with their namespace', async () => {
    const uid = (await gantry(['get', 'ct', 'first', '-o', 'jsonpath={.metadata.uid}'])).trim()
    const owned = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: 'owned',
        ownerReferences: [{ apiVersion: 'stable.example.com/v1', kind: 'CronTab', name: 'first', uid }],
      },
    }
    await gantry(['apply', '-f', '-'], JSON.stringify(owned))
    await gantry(['create', 'namespace', 'shop'])
    await gantry(['apply', '-f', '-'], JSON.stringify(cronTab('there', {}, { namespace: 'shop' })))
    await gantry(['delete', 'namespace', 'shop'])
    assert.equal((await gantry(['get', 'ct', '-A', '-o', 'name'])).trim(), 'crontab.stable.example.com/first')
    await gantry(['delete', 'ct', 'first'])
    await eventually(async () => (await rig.gantry(['get', 'cm', 'owned'])).code === 3)
  })

  it('are there again after each controller was killed', async () => {
    await gantry(['apply', '-f', '-'], JSON.stringify(cronTab('kept', { replicas: 3 })))
    for (const number of [1, 2, 3]) {
      await rig.controller(number).kill()
      await rig.controller(number).start()
      const server = rig.context().server[number - 1]!
      await eventually(
        async () =>
          (
            await rig.gantry(['--server', server, 'get', 'ct', 'kept', '-o', 'jsonpath={.spec.replicas}'])
          ).stdout.trim() === '3',
        60_000,
      )
    }
    const refused = await rig.gantry(['apply', '-f', '-'], JSON.stringify(cronTab('kept', { replicas: 30 })))
    assert.match(refused.stderr, /spec\.replicas: 30 should be less than or equal to 10/)
  })

  it('are gone with their definition', async () => {
    await gantry(['delete', 'crd', 'crontabs.stable.example.com'])
    for (const server of rig.context().server)
      await eventually(async () =>
        /no kind is called "ct"/.test((await rig.gantry(['--server', server, 'get', 'ct'])).stderr),
      )
  })
})
