/** Scenarios in which the simulation has found something, as they were shrunk. */
import assert from 'node:assert/strict'
import type { Action } from './actions.ts'
import { simulate } from './simulation.ts'

interface Finding {
  readonly seed: number
  readonly controllers: number
  readonly nodes: number
  readonly actions: readonly Action[]
}

const FINDINGS: Readonly<Record<string, Finding>> = {
  'a node that lost its power and its record of a pod goes on from what was told of the pod': {
    seed: 16,
    controllers: 1,
    nodes: 1,
    actions: [
      { at: 10, do: 'deploy', name: 'web', replicas: 2, app: 'steady' },
      { at: 2136.4, do: 'powerOff', share: 0.5, millis: 2413 },
      { at: 2136.4, do: 'deletePod', share: 0.48 },
    ],
  },
}

describe('what simulations have found', function () {
  this.timeout(30_000)

  for (const [what, scenario] of Object.entries(FINDINGS))
    it(what, async () => {
      const { violation } = await simulate(scenario)
      assert.equal(violation, undefined)
    })
})
