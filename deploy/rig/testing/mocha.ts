/**
 * A rig for mocha: `mocha --require gantry/rig/mocha`. The first test that asks makes it, the others find it, and it
 * ends with the process. With `--parallel` each of mocha's workers has its own.
 *
 *     import { useRig, useNamespace } from 'gantry/rig/mocha'
 *
 * After each test its faults are healed and its namespaces deleted. When a test or a hook fails, the archive of all
 * logs is kept and its path printed.
 */
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { formatTime } from '../../../proto/base/time.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { GantryError, Rig, type RigOptions } from '../index.ts'

/** Folder for archives of failed tests, unless $GANTRY_RIG_LOGS says another. */
const LOGS = 'gantry-logs'
/** Milliseconds for a rig to be made or a test's traces to be removed, whatever the tests' own time is. */
const PATIENCE = 120_000

/** The parts of mocha's context that the hooks use. https://mochajs.org/#root-hook-plugins */
interface Runnable {
  readonly state?: 'failed' | 'passed' | 'pending' | undefined
  fullTitle(): string
}

interface Suite {
  readonly suites: readonly Suite[]
  getHooks(name: 'beforeAll' | 'beforeEach' | 'afterEach' | 'afterAll'): readonly Runnable[]
}

interface HookContext {
  timeout(millis: number): unknown
  readonly currentTest?: Runnable | undefined
  readonly test?: { readonly parent?: Suite | undefined } | undefined
}

interface Shared {
  readonly options: RigOptions
  readonly rig: Promise<Rig>
}

let shared: Shared | undefined
let namespaces: string[] = []
let named = 0

/**
 * The rig that the tests share, made at the first call as `options` say (Rig.up); later calls may leave them out.
 * InvalidArgument for others than the first call's: a rig of its own is `Rig.up`'s. The call may take seconds; make it
 * in a `before` hook with time enough.
 */
export function useRig(options?: RigOptions): Promise<Rig> {
  shared ??= make(options ?? {})
  if (options === undefined || sameOptions(options, shared.options)) return shared.rig
  throw new GantryError(
    'InvalidArgument',
    `the shared rig was made with ${JSON.stringify(shared.options)}, and ${JSON.stringify(options)} is asked for`,
    { details: [{ remedy: 'ask for the same everywhere, or make a rig of your own with Rig.up()' }] },
  )
}

function make(options: RigOptions): Shared {
  const rig = Rig.up(options)
  // Whoever asks again after a failure has another try.
  rig.catch(() => (shared = undefined))
  return { options, rig }
}

function sameOptions(one: RigOptions, other: RigOptions): boolean {
  const text = (options: RigOptions): string =>
    JSON.stringify(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1)))
  return text(one) === text(other)
}

/**
 * A new namespace on the shared rig, for this test or, called in a `before` hook, until the next test has ended. Its
 * name.
 */
export async function useNamespace(prefix = 'test'): Promise<string> {
  const rig = await useRig()
  const name = `${prefix}-${process.pid}-${++named}`
  await rig.client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } } as Parameters<
    typeof rig.client.create
  >[0])
  namespaces.push(name)
  return name
}

/** Keeps the archive of a test that failed; its path. Nothing is kept when no rig was made. */
export async function keepLogs(title: string): Promise<string | undefined> {
  if (shared === undefined) return undefined
  const rig = await shared.rig
  const folder = resolve(process.env.GANTRY_RIG_LOGS ?? LOGS)
  await mkdir(folder, { recursive: true })
  const time = formatTime(systemClock.now()).replaceAll(/[-:]/g, '')
  return rig.logs(
    join(
      folder,
      `${title
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-')
        .slice(0, 80)}-${time}.tar.gz`,
    ),
  )
}

/**
 * Undoes what a test did to the shared rig: its faults, its namespaces. Whatever in them takes longer to end than this,
 * ends with them.
 */
export async function cleanRig(): Promise<void> {
  if (shared === undefined) return
  const rig = await shared.rig
  await rig.heal()
  const old = namespaces
  namespaces = []
  await Promise.all(old.map((name) => rig.client.delete('Namespace', '', name)))
}

/** Ends the shared rig, if there is one. */
export async function endRig(): Promise<void> {
  if (shared === undefined) return
  const { rig } = shared
  shared = undefined
  await (await rig).down()
}

async function keepLogsOf(failed: Runnable): Promise<void> {
  const file = await keepLogs(failed.fullTitle())
  if (file !== undefined) process.stderr.write(`\n    logs of the rig: ${file}\n`)
}

function failedHooks(suite: Suite): Runnable[] {
  const own = (['beforeAll', 'beforeEach', 'afterEach', 'afterAll'] as const)
    .flatMap((name) => suite.getHooks(name))
    .filter(({ state }) => state === 'failed')
  return [...own, ...suite.suites.flatMap(failedHooks)]
}

/** For `--require`; or `export { mochaHooks } from 'gantry/rig/mocha'` in a file of your own. */
export const mochaHooks = {
  async afterEach(this: HookContext): Promise<void> {
    this.timeout(PATIENCE)
    if (this.currentTest?.state === 'failed') await keepLogsOf(this.currentTest)
    await cleanRig()
  },
  async afterAll(this: HookContext): Promise<void> {
    this.timeout(PATIENCE)
    // After a hook that failed nothing else is told.
    const [hook] = this.test?.parent === undefined ? [] : failedHooks(this.test.parent)
    if (hook !== undefined) await keepLogsOf(hook)
    await endRig()
  },
}
