/** Pods get their addresses guarded. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { Attachment, PodGuard } from '../../../agent/network/contract.ts'
import { NodeNetwork } from '../../../agent/pods/node-network.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeNetwork } from '../fakes.ts'

const RANGES = {
  podCidrs: ['10.64.1.0/24'],
  cluster: { podCidrs: ['10.64.0.0/16'], serviceCidrs: [], domain: 'cluster.local' },
}
const signal = new AbortController().signal

class ScriptedGuard implements PodGuard {
  readonly calls: string[] = []
  go: () => void = () => undefined
  fail: GantryError | undefined

  adopt(given: ReadonlyMap<string, readonly string[]>): void {
    this.calls.push(`adopt ${JSON.stringify([...given])}`)
  }

  protect(uid: string, addresses: readonly string[]): Promise<void> {
    this.calls.push(`protect ${uid} ${addresses.join()}`)
    return this.fail === undefined ? new Promise((resolve) => (this.go = resolve)) : Promise.reject(this.fail)
  }

  forget(uid: string): void {
    this.calls.push(`forget ${uid}`)
  }
}

describe('NodeNetwork with a guard', () => {
  let network: FakeNetwork
  let guard: ScriptedGuard
  let pods: NodeNetwork

  beforeEach(() => {
    network = new FakeNetwork()
    guard = new ScriptedGuard()
    pods = new NodeNetwork(network, guard)
  })

  it('tells it the addresses of pods that live on, before anything else', async () => {
    const known: Attachment = { netns: '/n', address: '10.64.1.9', addresses: ['10.64.1.9', 'fd00::9'] }
    await pods.start(RANGES, new Map([['p', known]]))
    assert.deepEqual(guard.calls, ['adopt [["p",["10.64.1.9","fd00::9"]]]'])
  })

  it('gives a pod its address when it is guarded, and forgets it with the address', async () => {
    await pods.start(RANGES, new Map())
    let given: Attachment | undefined
    const attaching = pods.attach('p', signal).then((attachment) => (given = attachment))
    while (guard.calls.length < 2) await setImmediate()
    assert.match(guard.calls[1]!, /^protect p 10\./)
    await setImmediate()
    assert.equal(given, undefined)
    guard.go()
    await attaching
    assert.deepEqual(guard.calls[1], `protect p ${given!.addresses.join()}`)
    await pods.detach('p')
    assert.equal(guard.calls.at(-1), 'forget p')
  })

  it('fails to give an address that cannot be guarded', async () => {
    await pods.start(RANGES, new Map())
    guard.fail = new GantryError('Internal', 'nft exited with 1')
    await assert.rejects(pods.attach('p', signal), /nft exited with 1/)
  })
})
