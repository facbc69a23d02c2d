/** What the programs in the simulation's containers do, by the name of the app that is their command. */
import type { ContainerSpec } from '../../agent/runtime/contract.ts'
import type { FakeBehaviour } from '../../agent/runtime/fake.ts'
import type { Random } from '../../proto/base/random.ts'
import type { AppName } from './actions.ts'
import { between } from './world/world.ts'

export function behaviourOf({ args }: ContainerSpec, random: Random): FakeBehaviour {
  const app = args[1] as AppName
  switch (app) {
    case 'steady':
      return {}
    case 'stubborn':
      return { ignoresSignals: true }
    case 'slow':
      return { stopAfter: between(random, 200, 1_500) }
    case 'brief':
      return { exitAfter: between(random, 100, 3_000) }
    case 'crashing':
      return { exitAfter: between(random, 10, 1_000), exitCode: 1 }
    case 'unfindable':
      return { startFailure: 127 }
  }
}

/** True for an app that becomes ready and stays so. */
export function staysReady(app: AppName): boolean {
  switch (app) {
    case 'steady':
    case 'stubborn':
    case 'slow':
      return true
    case 'brief':
    case 'crashing':
    case 'unfindable':
      return false
  }
}
