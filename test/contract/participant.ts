/** What every participant must do (controller/api/participant.ts); run for each, on each store. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ClaimCollector } from '../../controller/api/claims/claim-collector.ts'
import { CLAIMS_PREFIX, ownerName, type ClaimScheme } from '../../controller/api/claims/claim.ts'
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import type { WriteContext } from '../../controller/api/contract.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { CLAIM_SCHEMES, createParticipants } from '../../controller/participants.ts'
import type { CommitResult, Operation, Store, Term } from '../../controller/store/contract.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { objectKey } from '../../controller/store/keys.ts'
import { systemClock as clock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { silentLogger as logger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { AnyResource, Kind, Resources } from '../../proto/gen/types.ts'

/** How objects of one kind come to hold values. */
export interface ParticipantFixture<K extends Kind = Kind> {
  readonly kind: K
  readonly scheme: ClaimScheme<K>
  /** Makes the object if it is not there, and has it hold a value; all callers would like to have the same one. */
  allocate(api: ObjectRegistry, name: string, context: WriteContext): Promise<Resources[K]>
  /** As an object of a version without claims says that it holds a value. */
  legacy(name: string): Promise<Uint8Array> | Uint8Array
}

const CONTEXT: WriteContext = { fieldManager: 'tester' }
const SERVICE_CIDR = '10.96.0.0/28'
const POD_CIDR = '10.244.0.0/21'

/** What the next commits of a controller meet: nothing, no answer though they are made, or no answer and no commit. */
type Fault = 'none' | 'answer lost' | 'never sent'

/** One controller over a store that others write, too. */
export class Controller {
  readonly api: ObjectRegistry
  readonly reads: ConsistentReads
  readonly informer: StoreInformer
  fault: Fault = 'none'
  readonly #group = new RunGroup()

  constructor(store: Store, seed: number) {
    const random = seededRandom(seed)
    this.informer = new StoreInformer({ store, clock, random, logger })
    this.reads = new ConsistentReads(store, this.informer)
    const commits = new GroupCommit(store)
    const writeAll = async (operations: readonly Operation[], term?: Term): Promise<CommitResult> => {
      const { fault } = this
      if (fault === 'never sent') throw new GantryError('Unavailable', 'the store does not answer')
      const result = await commits.writeAll(operations, term)
      if (fault === 'answer lost') throw new GantryError('Unavailable', 'the store does not answer')
      return result
    }
    const { informer, reads } = this
    const participants = createParticipants({
      informer,
      reads,
      store,
      random,
      serviceCidr: SERVICE_CIDR,
      podCidr: POD_CIDR,
    })
    this.api = new ObjectRegistry({ informer, reads, commits: { writeAll }, clock, random, participants })
    this.#group.add((signal) => informer.run(signal))
  }

  static async start(store: Store, seed = 1): Promise<Controller> {
    const controller = new Controller(store, seed)
    await controller.informer.synced()
    return controller
  }

  collector(store: Store): ClaimCollector {
    const { informer, reads } = this
    return new ClaimCollector({
      store,
      informer,
      reads,
      clock,
      random: seededRandom(1),
      logger,
      schemes: CLAIM_SCHEMES,
    })
  }

  /** As by SIGKILL: nothing is handed over. */
  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
  }
}

/** `start`: a store of this suite alone; `stop` ends it. */
export function participantSuite<K extends Kind>(
  { kind, scheme, allocate, legacy }: ParticipantFixture<K>,
  start: () => Promise<{ store: Store; stop(): Promise<void> }>,
): void {
  let store: Store
  let end: () => Promise<void>
  let controllers: Controller[]
  const namespace = kind === 'Node' ? '' : 'default'

  before(async () => {
    ;({ store, stop: end } = await start())
    controllers = await Promise.all([1, 2, 1].map((seed) => Controller.start(store, seed)))
    await controllers[0]!.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'default' } }, CONTEXT)
    for (const { reads } of controllers) await reads.current()
  })

  afterEach(async () => {
    const [controller] = controllers
    controller!.fault = 'none'
    await controller!.reads.current()
    for (const object of controller!.informer.lister(kind).list()) await remove(controller!, object.metadata.name)
    await controller!.collector(store).collect()
    for (const { reads } of controllers) await reads.current()
  })

  after(async () => {
    for (const controller of controllers) await controller.stop()
    await end()
  })

  const remove = async ({ api }: Controller, name: string): Promise<unknown> =>
    api.delete(kind, namespace, name, {}, CONTEXT)

  /** Key → owner of all claims of this participant in the store; its records are left out. */
  const claims = async (): Promise<Record<string, string | undefined>> => {
    const { entries } = await store.list(CLAIMS_PREFIX, { limit: 1_000 })
    const own = entries.filter(({ key }) => scheme.prefixes.some((prefix) => key.startsWith(CLAIMS_PREFIX + prefix)))
    return Object.fromEntries(
      own
        .filter(({ key }) => !key.startsWith(`${CLAIMS_PREFIX}network/`))
        .map((entry) => [entry.key, scheme.ownerOf(entry)]),
    )
  }

  const objects = async (): Promise<Resources[K][]> => {
    const [{ reads, informer }] = controllers as [Controller]
    await reads.current()
    return informer.lister(kind).list()
  }

  /** What objects say that they hold. */
  const said = (all: readonly Resources[K][]): [string, string][] =>
    all.flatMap((object) =>
      [...scheme.claimsOf(object).keys()].map((key): [string, string] => [key, ownerName(object as AnyResource)]),
    )

  /** Everything that is held is claimed, once, and nothing else is. */
  const consistent = async (): Promise<void> => {
    const held = said(await objects())
    assert.equal(new Set(held.map(([key]) => key)).size, held.length, `held twice: ${JSON.stringify(held)}`)
    assert.deepEqual(await claims(), Object.fromEntries(held))
  }

  const values = (object: Resources[K]): string[] => [...scheme.claimsOf(object).keys()]

  it('gives writers that race different values, also where their caches lag', async () => {
    const made = await Promise.all(
      Array.from({ length: 6 }, (_, index) => allocate(controllers[index % 3]!.api, `race-${index}`, CONTEXT)),
    )
    const all = made.flatMap(values)
    assert.ok(all.length >= 6)
    assert.equal(new Set(all).size, all.length)
    await consistent()
  })

  it('leaks nothing by a write in doubt, whether it happened or not', async () => {
    const [first, second] = controllers as [Controller, Controller]
    for (const fault of ['answer lost', 'never sent'] as const) {
      first.fault = fault
      await assert.rejects(allocate(first.api, 'doubt', CONTEXT), (thrown) => GantryError.is(thrown, 'Unavailable'))
      first.fault = 'none'
      await consistent()
      const again = await allocate(first.api, 'doubt', CONTEXT).catch((thrown: unknown) => {
        if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
        return first.api.get(kind, namespace, 'doubt')
      })
      await consistent()
      await second.reads.current()
      await remove(second, 'doubt')
      await consistent()
      await first.reads.current()
      assert.deepEqual(values(again).length > 0, true)
    }
    assert.deepEqual(await claims(), {})
  })

  it('knows after a restart what it knew before', async () => {
    const made = await allocate(controllers[0]!.api, 'elder', CONTEXT)
    const restarted = await Controller.start(store)
    const other = await allocate(restarted.api, 'younger', CONTEXT)
    assert.ok(values(other).every((value) => !values(made).includes(value)))
    await consistent()
    await restarted.stop()
  })

  it('leaves no claim by a dry run, in the store or in memory', async () => {
    const [controller] = controllers as [Controller]
    const first = await allocate(controller.api, 'dry', CONTEXT)
    await remove(controller, 'dry')
    await controller.reads.current()
    for (let round = 0; round < 12; round++)
      await allocate(controller.api, 'dry', { ...CONTEXT, dryRun: true }).catch((thrown: unknown) => {
        // Where it takes two writes, the second finds nothing.
        if (!GantryError.is(thrown, 'NotFound')) throw thrown
      })
    assert.deepEqual(await claims(), {})
    const real = await allocate(controller.api, 'dry', CONTEXT)
    assert.equal(values(real).length, values(first).length)
    await consistent()
  })

  it('frees what an object held in the transaction that removes it', async () => {
    const [controller] = controllers as [Controller]
    const held = values(await allocate(controller.api, 'short', CONTEXT))
    const revision = await store.revision()
    const stop = new AbortController()
    await remove(controller, 'short')
    const gone = new Map<string, number>()
    const wanted = [objectKey(kind, namespace, 'short'), ...held]
    for await (const { events } of store.watch('/gantry', revision, stop.signal)) {
      for (const { type, entry } of events) if (type === 'delete') gone.set(entry.key, entry.revision)
      if (wanted.every((key) => gone.has(key))) break
    }
    stop.abort()
    assert.equal(new Set(wanted.map((key) => gone.get(key))).size, 1)
  })

  it('takes over a claim whose owner is gone, and the collector frees it', async () => {
    const [controller, other] = controllers as [Controller, Controller]
    const kept = values(await allocate(controller.api, 'gone', CONTEXT))
    const stray = async (): Promise<void> => {
      // As if the object had been removed with a tool of the store's.
      const result = await store.commit([
        { kind: 'delete', key: objectKey(kind, namespace, 'gone'), expect: { is: 'any' } },
      ])
      assert.equal(result.outcome, 'committed')
      for (const { reads } of controllers) await reads.current()
    }
    await stray()
    assert.deepEqual(Object.keys(await claims()).sort(), [...kept].sort())
    const { freed } = await other.collector(store).collect()
    assert.ok(freed >= kept.length)
    assert.deepEqual(await claims(), {})
    await allocate(controller.api, 'gone', CONTEXT)
    await stray()
    // As many as there are values: the stray one is met, and given.
    await allocate(other.api, 'gone', CONTEXT)
    for (let index = 0; index < 3; index++) await allocate(controllers[index % 3]!.api, `heir-${index}`, CONTEXT)
    await controllers[2]!.collector(store).collect()
    await consistent()
  })

  it('claims what objects of an earlier version hold, and never gives it again', async () => {
    const [controller] = controllers as [Controller]
    const value = await legacy('old')
    await store.commit([{ kind: 'put', key: objectKey(kind, namespace, 'old'), value, expect: { is: 'absent' } }])
    for (const { reads } of controllers) await reads.current()
    const [old] = await objects()
    const made = await allocate(controller.api, 'new', CONTEXT)
    assert.ok(values(made).every((key) => !values(old!).includes(key)))
    await controllers[1]!.collector(store).collect()
    await consistent()
    await remove(controller, 'old')
    await consistent()
  })

  it('keeps all of that whatever comes in whatever order', async function () {
    this.timeout(120_000)
    const step = fc.record({
      verb: fc.constantFrom('allocate', 'allocate', 'remove', 'collect', 'restart'),
      name: fc.nat(5).map((index) => `o${index}`),
      at: fc.nat(2),
      fault: fc.constantFrom<Fault>('none', 'none', 'none', 'answer lost', 'never sent'),
    })
    let done = 0
    const run = async ({ verb, name, at, fault }: { verb: string; name: string; at: number; fault: Fault }) => {
      const controller = controllers[at]!
      controller.fault = fault
      switch (verb) {
        case 'allocate':
          return allocate(controller.api, name, CONTEXT)
        case 'remove':
          return remove(controller, name)
        case 'collect':
          return controller.collector(store).collect()
        default: {
          controllers[at] = await Controller.start(store, at)
          return controller.stop()
        }
      }
    }
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 5 }), async (rounds) => {
        for (const round of rounds) {
          for (const outcome of await Promise.allSettled(round.map(run)))
            if (outcome.status === 'fulfilled') done++
            else
              assert.ok(
                GantryError.is(outcome.reason, 'Unavailable', 'AlreadyExists', 'NotFound', 'Conflict'),
                String(outcome.reason),
              )
          for (const controller of controllers) controller.fault = 'none'
          const held = said(await objects())
          assert.equal(new Set(held.map(([key]) => key)).size, held.length, `held twice: ${JSON.stringify(held)}`)
        }
        await consistent()
      }),
      { numRuns: 25 },
    )
    assert.ok(done > 20, `only ${done} steps did anything`)
  })
}
