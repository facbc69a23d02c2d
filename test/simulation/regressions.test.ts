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
  'a controller whose cache is behind does not write what a node said in an older session over what it said since': {
    seed: 2001845,
    controllers: 3,
    nodes: 3,
    actions: [
      { at: 0, do: 'writeSecret', name: 'key', text: 'first' },
      { at: 10, do: 'deploy', name: 'web', replicas: 2, app: 'steady' },
      { at: 1353.946153097786, do: 'expose', name: 'web' },
      { at: 1353.946153097786, do: 'killAgent', share: 0.5330759764183313, millis: 553.3584278076887 },
      { at: 1489.033523737453, do: 'roll', name: 'web', app: 'brief' },
      { at: 2364.8790900129825, do: 'cutFromStore', share: 0.3128979098983109, millis: 11198.49795147311 },
      { at: 6108.2683835644275, do: 'storeLossy', lost: 0.2568133740546182, millis: 2666.120123467408 },
    ],
  },
  'a pod whose Secret comes while its volumes are being made, too late for them, gets them all the same': {
    seed: 20002147,
    controllers: 1,
    nodes: 1,
    actions: [
      { at: 0, do: 'writeSecret', name: 'key', text: 'first' },
      { at: 10, do: 'deploy', name: 'web', replicas: 2, app: 'steady' },
      { at: 1544.047580473125, do: 'scale', name: 'api', replicas: 4 },
      { at: 2304.4236620422453, do: 'run', name: 'pod-3', app: 'steady', once: false },
      {
        at: 4775.012395135127,
        do: 'machineSlow',
        share: 0.7516272936481982,
        by: 414.3610269878991,
        millis: 752.5811259401962,
      },
      { at: 5046.8064565444365, do: 'run', name: 'pod-8', app: 'brief', once: true, secret: 'token' },
      { at: 5217.678406648338, do: 'writeSecret', name: 'token', text: 'text 11' },
    ],
  },
  'a container that ends while its agent, started again, looks at what is there has ended': {
    seed: 30000379,
    controllers: 1,
    nodes: 1,
    actions: [
      { at: 10, do: 'deploy', name: 'web', replicas: 2, app: 'steady' },
      { at: 1286.1292578978464, do: 'killAgent', share: 0.8859769171103835, millis: 2414.1628296114504 },
      { at: 3705.3112626541406, do: 'exit', share: 0.24042885471135378, code: 0 },
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
