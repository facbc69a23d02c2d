/**
 * What a simulation does to its cluster: a list of actions made from the seed before anything happens, so that some can
 * be left out and the rest done again. Whom an action concerns is a share of those that there are at its time.
 */
import { seededRandom, type Random } from '../../proto/base/random.ts'
import { between, pick } from './world/world.ts'

/** What users do. */
export type Work =
  | {
      readonly do: 'deploy'
      readonly name: string
      readonly replicas: number
      readonly app: AppName
      readonly secret?: string
    }
  | { readonly do: 'scale'; readonly name: string; readonly replicas: number }
  | { readonly do: 'roll'; readonly name: string; readonly app: AppName }
  | { readonly do: 'undeploy'; readonly name: string; readonly propagation: 'BACKGROUND' | 'FOREGROUND' }
  | {
      readonly do: 'run'
      readonly name: string
      readonly app: AppName
      readonly once: boolean
      readonly secret?: string
    }
  | { readonly do: 'deletePod'; readonly share: number; readonly grace?: number }
  | { readonly do: 'expose'; readonly name: string }
  | { readonly do: 'hide'; readonly name: string }
  | { readonly do: 'writeSecret'; readonly name: string; readonly text: string }
  | { readonly do: 'deleteSecret'; readonly name: string }
  /** Counts up, and looks at the count at once. */
  | { readonly do: 'count'; readonly name: string }
  | { readonly do: 'cordon' | 'uncordon' | 'drain' | 'deleteNode'; readonly share: number }
  | { readonly do: 'nonsense' }
  | { readonly do: 'makeNamespace' | 'deleteNamespace'; readonly name: string }

/** What goes wrong, and for how many milliseconds. */
export type Fault =
  | { readonly do: 'exit'; readonly share: number; readonly code: number }
  | { readonly do: 'killAgent' | 'powerOff' | 'isolateNode'; readonly share: number; readonly millis: number }
  | {
      readonly do: 'killController' | 'powerOffController' | 'isolateController'
      readonly share: number
      readonly millis: number
    }
  | { readonly do: 'killLeader' | 'pauseLeader'; readonly millis: number }
  | { readonly do: 'pauseAgent'; readonly share: number; readonly millis: number }
  | { readonly do: 'cutFromStore' | 'halfCut'; readonly share: number; readonly millis: number }
  | { readonly do: 'cutNodeFromController'; readonly share: number; readonly other: number; readonly millis: number }
  | { readonly do: 'slowNetwork'; readonly by: number; readonly millis: number }
  | { readonly do: 'storeAway'; readonly millis: number }
  | { readonly do: 'storeSlow'; readonly by: number; readonly millis: number }
  | { readonly do: 'storeLossy'; readonly lost: number; readonly millis: number }
  | { readonly do: 'compact'; readonly share: number }
  | { readonly do: 'diskFull' | 'registryAway'; readonly share: number; readonly millis: number }
  | {
      readonly do: 'diskSlow' | 'machineSlow' | 'networkLag'
      readonly share: number
      readonly by: number
      readonly millis: number
    }
  | { readonly do: 'machineFails'; readonly share: number; readonly failing: number; readonly millis: number }
  | {
      readonly do: 'disorder'
      readonly lost: number
      readonly doubled: number
      readonly swapped: number
      readonly millis: number
    }
  | { readonly do: 'setClock'; readonly share: number; readonly by: number }

export type Action = { readonly at: number } & (Work | Fault)

/** What a container's program does. */
export const APPS = ['steady', 'stubborn', 'slow', 'brief', 'crashing', 'unfindable'] as const
export type AppName = (typeof APPS)[number]

export interface Scenario {
  readonly seed: number
  readonly controllers: number
  readonly nodes: number
  readonly actions: readonly Action[]
}

/** Milliseconds between two actions at most. */
const GAP = 1_500
const DEPLOYMENTS = ['web', 'api']
const SECRETS = ['key', 'token']
export const NAMESPACES = ['default', 'side']

/** The scenario of a seed, with so many actions. */
export function scenarioOf(seed: number, steps: number): Scenario {
  const random = seededRandom(seed)
  const controllers = random.next() < 0.35 ? 1 : 3
  const nodes = 1 + Math.floor(random.next() * 3)
  // Some seeds are calm, so that what goes wrong by itself is not hidden; some are wild.
  const faultShare = pick(random, [0, 0.2, 0.4, 0.6])
  const actions: Action[] = [
    { at: 0, do: 'writeSecret', name: pick(random, SECRETS), text: 'first' },
    { at: 10, do: 'deploy', name: 'web', replicas: 2, app: 'steady' },
  ]
  let at = 100
  while (actions.length < steps) {
    at += random.next() < 0.2 ? 0 : random.next() * GAP
    actions.push({ at, ...(random.next() < faultShare ? fault(random, controllers) : work(random, actions.length)) })
  }
  return { seed, controllers, nodes, actions }
}

function work(random: Random, number: number): Work {
  const name = pick(random, DEPLOYMENTS)
  const app = random.next() < 0.6 ? 'steady' : pick(random, APPS)
  const secret = random.next() < 0.3 ? { secret: pick(random, SECRETS) } : {}
  const share = random.next()
  const makers: (readonly [number, () => Work])[] = [
    [3, () => ({ do: 'deploy', name, replicas: Math.floor(random.next() * 5), app, ...secret })],
    [3, () => ({ do: 'scale', name, replicas: Math.floor(random.next() * 6) })],
    [2, () => ({ do: 'roll', name, app })],
    [1, () => ({ do: 'undeploy', name, propagation: pick(random, ['BACKGROUND', 'FOREGROUND']) })],
    [3, () => ({ do: 'run', name: `pod-${number}`, app, once: random.next() < 0.6, ...secret })],
    [3, () => ({ do: 'deletePod', share, ...(random.next() < 0.2 ? { grace: 0 } : {}) })],
    [1, () => ({ do: 'expose', name })],
    [0.5, () => ({ do: 'hide', name })],
    [1.5, () => ({ do: 'writeSecret', name: pick(random, SECRETS), text: `text ${number}` })],
    [0.5, () => ({ do: 'deleteSecret', name: pick(random, SECRETS) })],
    [3, () => ({ do: 'count', name: pick(random, ['one', 'two']) })],
    [1, () => ({ do: 'cordon', share })],
    [1, () => ({ do: 'uncordon', share })],
    [1, () => ({ do: 'drain', share })],
    [0.3, () => ({ do: 'deleteNode', share })],
    [0.5, () => ({ do: 'nonsense' })],
    [0.5, () => ({ do: 'makeNamespace', name: 'side' })],
    [0.4, () => ({ do: 'deleteNamespace', name: 'side' })],
  ]
  return weighted(random, makers)()
}

function fault(random: Random, controllers: number): Fault {
  const share = random.next()
  const millis = between(random, 100, random.next() < 0.3 ? 12_000 : 3_000)
  const makers: (readonly [number, () => Fault])[] = [
    [2, () => ({ do: 'exit', share, code: random.next() < 0.5 ? 0 : 1 })],
    [3, () => ({ do: 'killAgent', share, millis })],
    [1.5, () => ({ do: 'powerOff', share, millis })],
    [2, () => ({ do: 'isolateNode', share, millis })],
    [2, () => ({ do: 'killController', share, millis })],
    [0.7, () => ({ do: 'powerOffController', share, millis })],
    [controllers > 1 ? 1.5 : 0.5, () => ({ do: 'isolateController', share, millis })],
    [1.5, () => ({ do: 'killLeader', millis })],
    [1, () => ({ do: 'pauseLeader', millis })],
    [1, () => ({ do: 'pauseAgent', share, millis })],
    [1.5, () => ({ do: 'cutFromStore', share, millis })],
    [0.7, () => ({ do: 'halfCut', share, millis })],
    [1, () => ({ do: 'cutNodeFromController', share, other: random.next(), millis })],
    [1, () => ({ do: 'slowNetwork', by: between(random, 5, 400), millis })],
    [1, () => ({ do: 'storeAway', millis })],
    [1, () => ({ do: 'storeSlow', by: between(random, 10, 2_000), millis })],
    [1.5, () => ({ do: 'storeLossy', lost: between(random, 0.02, 0.4), millis })],
    [1, () => ({ do: 'compact', share })],
    [0.7, () => ({ do: 'diskFull', share, millis })],
    [0.7, () => ({ do: 'registryAway', share, millis })],
    [1, () => ({ do: 'diskSlow', share, by: between(random, 10, 1_000), millis })],
    [1, () => ({ do: 'machineSlow', share, by: between(random, 10, 600), millis })],
    [1, () => ({ do: 'networkLag', share, by: between(random, 100, 3_000), millis })],
    [1, () => ({ do: 'machineFails', share, failing: between(random, 0.05, 0.5), millis })],
    [
      1,
      () => ({
        do: 'disorder',
        lost: random.next() * 0.05,
        doubled: random.next() * 0.1,
        swapped: random.next() * 0.1,
        millis,
      }),
    ],
    [0.5, () => ({ do: 'setClock', share, by: between(random, -60_000, 60_000) })],
  ]
  return weighted(random, makers)()
}

function weighted<T>(random: Random, from: readonly (readonly [number, T])[]): T {
  let left = random.next() * from.reduce((sum, [weight]) => sum + weight, 0)
  for (const [weight, item] of from) if ((left -= weight) < 0) return item
  return from.at(-1)![1]
}
