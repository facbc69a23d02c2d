import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ConsistentReads } from '../../../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../../../controller/participants.ts'
import { ObjectRegistry } from '../../../../controller/api/objects.ts'
import { StoreInformer } from '../../../../controller/informer/informer.ts'
import type { Store } from '../../../../controller/store/contract.ts'
import { GroupCommit } from '../../../../controller/store/group-commit.ts'
import { MemoryStore } from '../../../../controller/store/memory.ts'
import type { GantryError } from '../../../../proto/base/errors.ts'
import { systemClock as clock } from '../../../../proto/base/clock.ts'
import { silentLogger as logger } from '../../../../proto/base/logger.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { RunGroup } from '../../../../proto/base/run-group.ts'
import type { Service, ServiceSpec } from '../../../../proto/gen/types.ts'

const context = { fieldManager: 'tester' }
const PREFIX = '/gantry-allocations/'

/** Several controllers over one store. */
class Controllers {
  readonly store = new MemoryStore(clock)
  readonly cores: ObjectRegistry[] = []
  readonly reads: ConsistentReads[] = []
  readonly #group = new RunGroup()

  static async start(count: number, serviceCidr = '10.96.0.0/16'): Promise<Controllers> {
    const controllers = new Controllers()
    for (let index = 0; index < count; index++) {
      const random = seededRandom(index % 2) // pairs that choose the same
      const informer = new StoreInformer({ store: controllers.store as Store, clock, random, logger })
      const reads = new ConsistentReads(controllers.store as Store, informer)
      controllers.cores.push(
        new ObjectRegistry({
          reads,
          informer,
          commits: new GroupCommit(controllers.store as Store),
          clock,
          random,
          participants: createParticipants({ reads, store: controllers.store, informer, random, serviceCidr }),
        }),
      )
      controllers.reads.push(reads)
      controllers.#group.add((signal) => informer.run(signal))
      await informer.synced()
    }
    await controllers.api.create({ kind: 'Namespace', metadata: { name: 'default' } }, context)
    for (const reads of controllers.reads) await reads.current()
    return controllers
  }

  get api(): ObjectRegistry {
    return this.cores[0]!
  }

  create(name: string, spec: object = {}, core = this.api): Promise<Service> {
    return core.create<'Service'>(
      { kind: 'Service', metadata: { name, namespace: 'default' }, spec: { ports: [{ port: 80 }], ...spec } },
      context,
    )
  }

  change(name: string, change: (spec: ServiceSpec) => void, core = this.api): Promise<Service> {
    return core.mutate('Service', 'default', name, '', (service) => change(service.spec), context)
  }

  /** "address/10.96.0.7" → "default/web" */
  async claims(): Promise<Record<string, string>> {
    const { entries } = await this.store.list(PREFIX, { limit: 10_000 })
    return Object.fromEntries(
      entries.map(({ key, value }) => [
        key.slice(PREFIX.length),
        (JSON.parse(Buffer.from(value).toString()) as { service: string }).service,
      ]),
    )
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
    await this.store.close()
  }
}

/** What the Services say that they hold. */
function said(services: readonly Service[]): [string, string][] {
  return services.flatMap(
    ({ metadata: { namespace, name }, spec: { clusterIPs = [], ports = [], healthCheckNodePort = 0 } }) => {
      const keys = new Set([
        ...clusterIPs.filter((address) => address !== 'None').map((address) => `address/${address}`),
        ...[...ports.map(({ nodePort = 0 }) => nodePort), healthCheckNodePort]
          .filter((port) => port !== 0)
          .map((port) => `nodeport/${port}`),
      ])
      return [...keys].map((key): [string, string] => [key, `${namespace}/${name}`])
    },
  )
}

const refused =
  (code: string, text: RegExp, field?: string) =>
  (error: GantryError): boolean => {
    assert.equal(error.code, code, error.message)
    assert.match(error.message, text)
    if (field !== undefined) assert.equal(error.details[0]?.field, field)
    return true
  }

describe('addresses and node ports of Services', () => {
  let controllers: Controllers
  const begin = async (count = 1, cidr?: string): Promise<Controllers> =>
    (controllers = await Controllers.start(count, cidr))
  afterEach(() => controllers.stop())

  it('gives an address of the upper part of the range, and fills in what else the manifest leaves out', async () => {
    await begin()
    const { spec, metadata } = await controllers.create('web', { selector: { app: 'web' } })
    assert.match(spec.clusterIP!, /^10\.96\.\d+\.\d+$/)
    const [, , third, fourth] = spec.clusterIP!.split('.').map(Number)
    assert.ok(third! * 256 + fourth! > 256, spec.clusterIP)
    assert.deepEqual(
      { ...spec, clusterIP: '', clusterIPs: [] },
      {
        type: 'ClusterIP',
        clusterIP: '',
        clusterIPs: [],
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
        sessionAffinity: 'None',
        selector: { app: 'web' },
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      },
    )
    assert.deepEqual(await controllers.claims(), { [`address/${spec.clusterIP}`]: 'default/web' })
    assert.ok(!JSON.stringify(metadata.managedFields).includes('clusterIP'), 'nobody owns what was given')
    await controllers.api.delete('Service', 'default', 'web', {}, context)
    assert.deepEqual(await controllers.claims(), {})
  })

  it('lets no Service grow beyond what can be freed in one transaction', async () => {
    await begin()
    const ports = (count: number): object[] =>
      Array.from({ length: count }, (_, index) => ({ name: `p${index}`, port: index + 1 }))
    await controllers.create('wide', { type: 'NodePort', ports: ports(60) })
    await assert.rejects(
      controllers.change('wide', (spec) => void (spec.ports = ports(120) as never)),
      refused('InvalidArgument', /would hold 121 addresses and node ports at once/, 'spec.ports'),
    )
    await controllers.change('wide', (spec) => void (spec.ports = ports(98) as never))
    await controllers.api.delete('Service', 'default', 'wide', {}, context)
    assert.deepEqual(await controllers.claims(), {})
  })

  it('grants what is asked for if it is free, and says who has it if not', async () => {
    await begin()
    await controllers.create('dns', {
      clusterIP: '10.96.0.10',
      type: 'NodePort',
      ports: [{ port: 53, protocol: 'UDP', nodePort: 30053 }],
    })
    await assert.rejects(
      controllers.create('two', { clusterIP: '10.96.0.10' }),
      refused('InvalidArgument', /10\.96\.0\.10 is taken by Service default\/dns/, 'spec.clusterIP'),
    )
    await assert.rejects(
      controllers.create('two', { type: 'NodePort', ports: [{ port: 1, nodePort: 30053 }] }),
      refused('InvalidArgument', /30053 is taken by Service default\/dns/, 'spec.ports[0].nodePort'),
    )
    await assert.rejects(
      controllers.api.create<'Service'>(
        {
          kind: 'Service',
          metadata: { name: 'dry', namespace: 'default' },
          spec: { clusterIP: '10.96.0.10', ports: [{ port: 80 }] },
        },
        { ...context, dryRun: true },
      ),
      refused('InvalidArgument', /taken by Service default\/dns/),
    )
    await assert.rejects(
      controllers.create('out', { clusterIP: '10.97.0.10' }),
      refused('InvalidArgument', /10\.97\.0\.10 is not an address for Services .*10\.96\.0\.0\/16/),
    )
    await assert.rejects(
      controllers.create('net', { clusterIP: '10.96.255.255' }),
      refused('InvalidArgument', /is not an address for Services/),
    )
    await assert.rejects(
      controllers.create('first', { clusterIP: '10.96.0.1' }),
      refused('InvalidArgument', /is kept for Service default\/kubernetes/),
    )
    await assert.rejects(
      controllers.create('low', { type: 'NodePort', ports: [{ port: 1, nodePort: 8080 }] }),
      refused('InvalidArgument', /8080 is not a port for Services .*30000 to 32767/),
    )
    assert.deepEqual(await controllers.claims(), {
      'address/10.96.0.10': 'default/dns',
      'nodeport/30053': 'default/dns',
    })
    assert.equal((await controllers.create('kubernetes')).spec.clusterIP, '10.96.0.1')
  })

  it('knows an address whichever way it is written', async () => {
    await begin(1, 'fd00::/112')
    await controllers.create('one', { clusterIP: 'fd00::a:1'.replace('a:1', '0a01') })
    await assert.rejects(
      controllers.create('two', { clusterIP: 'fd00:0:0:0:0:0:0:a01' }),
      refused('InvalidArgument', /taken by Service default\/one/),
    )
  })

  it('takes and frees with each change of type', async () => {
    await begin()
    const {
      spec: { clusterIP },
    } = await controllers.create('web')
    const node = await controllers.change('web', (spec) => void (spec.type = 'NodePort'))
    const port = node.spec.ports![0]!.nodePort!
    assert.ok(port >= 30_086 && port <= 32_767)
    assert.equal(node.spec.externalTrafficPolicy, 'Cluster')
    const balancer = await controllers.change('web', (spec) =>
      Object.assign(spec, { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }),
    )
    assert.equal(balancer.spec.ports![0]!.nodePort, port)
    assert.ok((balancer.spec.healthCheckNodePort ?? 0) >= 30_000)
    assert.deepEqual(await controllers.claims(), Object.fromEntries(said([balancer])))
    const inside = await controllers.change('web', (spec) => void (spec.type = 'ClusterIP'))
    assert.deepEqual(
      [
        inside.spec.clusterIP,
        inside.spec.ports![0]!.nodePort,
        inside.spec.healthCheckNodePort,
        inside.spec.externalTrafficPolicy,
        inside.spec.allocateLoadBalancerNodePorts,
      ],
      [clusterIP, undefined, undefined, undefined, undefined],
    )
    assert.deepEqual(await controllers.claims(), { [`address/${clusterIP}`]: 'default/web' })
    const name = await controllers.change('web', (spec) =>
      Object.assign(spec, { type: 'ExternalName', externalName: 'db.example.com' }),
    )
    assert.deepEqual(
      [name.spec.clusterIP, name.spec.clusterIPs, name.spec.ipFamilies],
      [undefined, undefined, undefined],
    )
    assert.deepEqual(await controllers.claims(), {})
    const again = await controllers.change('web', (spec) => void (spec.type = 'ClusterIP'))
    assert.deepEqual(
      [again.spec.externalName, Object.keys(await controllers.claims())],
      [undefined, [`address/${again.spec.clusterIP}`]],
    )
  })

  it('keeps what an update leaves out, and refuses another address', async () => {
    await begin()
    const made = await controllers.create('web', {
      type: 'NodePort',
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 81 },
      ],
    })
    const replaced = await controllers.api.update<'Service'>(
      {
        ...made,
        spec: {
          type: 'NodePort',
          sessionAffinity: 'None',
          ports: [
            { name: 'b', port: 81, protocol: 'TCP' },
            { name: 'c', port: 82, protocol: 'TCP' },
          ],
        } as ServiceSpec,
      },
      context,
    )
    assert.equal(replaced.spec.clusterIP, made.spec.clusterIP)
    assert.equal(replaced.spec.ports![0]!.nodePort, made.spec.ports![1]!.nodePort)
    assert.deepEqual(await controllers.claims(), Object.fromEntries(said([replaced])))
    await assert.rejects(
      controllers.change('web', (spec) => Object.assign(spec, { clusterIP: '10.96.0.99', clusterIPs: ['10.96.0.99'] })),
      refused('InvalidArgument', /may not change once set/),
    )
    await assert.rejects(
      controllers.change('web', (spec) => Object.assign(spec, { clusterIP: 'None' })),
      refused('InvalidArgument', /None/),
    )
    const { object, outcome } = await controllers.api.apply<'Service'>(
      'Service',
      'default',
      'web',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: {
          type: 'NodePort',
          ports: [
            { name: 'b', port: 81 },
            { name: 'c', port: 82 },
          ],
        },
      },
      true,
      context,
    )
    assert.equal(outcome, 'CONFIGURED')
    assert.equal(object.spec.clusterIP, made.spec.clusterIP)
    assert.deepEqual(await controllers.claims(), Object.fromEntries(said([object])))
    const same = await controllers.api.apply<'Service'>(
      'Service',
      'default',
      'web',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: {
          type: 'NodePort',
          ports: [
            { name: 'b', port: 81 },
            { name: 'c', port: 82 },
          ],
        },
      },
      true,
      context,
    )
    assert.equal(same.outcome, 'UNCHANGED')
  })

  it('keeps what a Service holds until the last finalizer is gone', async () => {
    await begin()
    const made = await controllers.create('web')
    await controllers.api.mutate(
      'Service',
      'default',
      'web',
      '',
      (service) => void (service.metadata.finalizers = ['example.com/wait']),
      context,
    )
    await controllers.api.delete('Service', 'default', 'web', {}, context)
    assert.deepEqual(await controllers.claims(), { [`address/${made.spec.clusterIP}`]: 'default/web' })
    await controllers.api.mutate(
      'Service',
      'default',
      'web',
      '',
      (service) => void (service.metadata.finalizers = []),
      context,
    )
    assert.deepEqual(await controllers.claims(), {})
  })

  it('gives one address of each family, takes the second back and gives it again', async () => {
    await begin(1, '10.96.0.0/16, fd00:10:96::/112')
    const single = await controllers.create('one')
    assert.deepEqual(
      [single.spec.ipFamilyPolicy, single.spec.ipFamilies, single.spec.clusterIPs!.length],
      ['SingleStack', ['IPv4'], 1],
    )
    const both = await controllers.change('one', (spec) => void (spec.ipFamilyPolicy = 'RequireDualStack'))
    assert.equal(both.spec.clusterIPs![0], single.spec.clusterIP)
    assert.match(both.spec.clusterIPs![1]!, /^fd00:10:96::/)
    assert.deepEqual(await controllers.claims(), Object.fromEntries(said([both])))
    const less = await controllers.change('one', (spec) => void (spec.ipFamilyPolicy = 'SingleStack'))
    assert.deepEqual([less.spec.clusterIPs, less.spec.ipFamilies], [[single.spec.clusterIP], ['IPv4']])
    assert.deepEqual(await controllers.claims(), Object.fromEntries(said([less])))
    const six = await controllers.create('six', { ipFamilies: ['IPv6'] })
    assert.match(six.spec.clusterIP!, /^fd00:10:96::/)
    assert.deepEqual(
      (
        await controllers.create('pair', { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] })
      ).spec.clusterIPs!.map((address) => address.includes(':')),
      [true, false],
    )
    const headless = await controllers.create('headless', {
      clusterIP: 'None',
      selector: { a: 'b' },
      ipFamilyPolicy: 'PreferDualStack',
    })
    assert.deepEqual([headless.spec.clusterIPs, headless.spec.ipFamilies], [['None'], ['IPv4', 'IPv6']])
  })

  it('says which families the cluster has', async () => {
    await begin()
    await assert.rejects(
      controllers.create('six', { ipFamilies: ['IPv6'] }),
      refused('InvalidArgument', /IPv6 is not a family of this cluster .*IPv4/, 'spec.ipFamilies[0]'),
    )
    await assert.rejects(
      controllers.create('both', { ipFamilyPolicy: 'RequireDualStack' }),
      refused('InvalidArgument', /needs two families/, 'spec.ipFamilyPolicy'),
    )
    assert.deepEqual((await controllers.create('prefers', { ipFamilyPolicy: 'PreferDualStack' })).spec.ipFamilies, [
      'IPv4',
    ])
    assert.deepEqual((await controllers.create('free', { clusterIP: 'None', ports: [] })).spec.ipFamilies, [
      'IPv4',
      'IPv6',
    ])
  })

  it('says when nothing is left, and gives again what was freed', async () => {
    await begin(1, '10.96.0.0/28')
    const names = Array.from({ length: 12 }, (_, index) => `s${index}`)
    const made = await Promise.all(names.map((name) => controllers.create(name)))
    assert.ok(made.every(({ spec }) => spec.clusterIP !== '10.96.0.1' && spec.clusterIP !== '10.96.0.10'))
    await assert.rejects(
      controllers.create('more'),
      refused('ResourceExhausted', /no address of 10\.96\.0\.0\/28 is free/),
    )
    await controllers.api.delete('Service', 'default', 's3', {}, context)
    await controllers.reads[0]!.current()
    assert.equal((await controllers.create('more')).spec.clusterIP, made[3]!.spec.clusterIP)
  })

  it('gives nothing twice, whichever of three controllers is asked, and leaves nothing behind', async function () {
    this.timeout(60_000)
    await begin(3, '10.96.0.0/24')
    const name = fc.integer({ min: 0, max: 7 }).map((index) => `s${index}`)
    const spec = fc.record({
      type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
      asked: fc.constantFrom(undefined, '10.96.0.20', '10.96.0.21', 'None'),
      local: fc.boolean(),
      ports: fc.uniqueArray(
        fc.record({
          port: fc.integer({ min: 80, max: 84 }),
          nodePort: fc.constantFrom(undefined, undefined, 30001, 30002),
        }),
        { selector: ({ port }) => port, minLength: 1, maxLength: 4 },
      ),
    })
    const step = fc.oneof(
      fc.record({ verb: fc.constant('create' as const), name, spec, core: fc.nat(2) }),
      fc.record({ verb: fc.constant('change' as const), name, spec, core: fc.nat(2) }),
      fc.record({ verb: fc.constant('delete' as const), name, core: fc.nat(2) }),
    )
    const specOf = ({
      type,
      asked,
      local,
      ports,
    }: {
      type: string
      asked: string | undefined
      local: boolean
      ports: { port: number; nodePort: number | undefined }[]
    }): object => ({
      type,
      ...(type === 'ExternalName' ? { externalName: 'a.b' } : asked !== undefined && { clusterIP: asked }),
      ...(type === 'LoadBalancer' && { externalTrafficPolicy: local ? 'Local' : 'Cluster' }),
      ports: ports.map(({ port, nodePort }) => ({
        port,
        name: `p${port}`,
        ...(nodePort !== undefined && type !== 'ClusterIP' && type !== 'ExternalName' && { nodePort }),
      })),
    })
    let done = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const outcomes = await Promise.allSettled(
          steps.map((one) => {
            const core = controllers.cores[one.core]!
            switch (one.verb) {
              case 'create':
                return controllers.create(one.name, specOf(one.spec), core)
              case 'change':
                return controllers.change(
                  one.name,
                  (current) => Object.assign(current, { clusterIP: current.clusterIP }, specOf(one.spec)),
                  core,
                )
              case 'delete':
                return core.delete('Service', 'default', one.name, {}, context)
            }
          }),
        )
        for (const outcome of outcomes) {
          if (outcome.status === 'fulfilled') done++
          else
            assert.ok(
              ['InvalidArgument', 'AlreadyExists', 'NotFound', 'Conflict'].includes(
                (outcome.reason as GantryError).code,
              ),
              String(outcome.reason),
            )
        }
        await controllers.reads[0]!.current()
        const services = await Promise.all(
          Array.from({ length: 8 }, (_, index) =>
            controllers.api.get('Service', 'default', `s${index}`).catch((error: GantryError) => {
              assert.equal(error.code, 'NotFound')
              return undefined
            }),
          ),
        )
        const holds = said(services.filter((service) => service !== undefined))
        assert.equal(new Set(holds.map(([key]) => key)).size, holds.length, 'held twice')
        assert.deepEqual(await controllers.claims(), Object.fromEntries(holds))
      }),
      { numRuns: 40 },
    )
    assert.ok(done > 50, `only ${done} steps did anything`)
  })
})
