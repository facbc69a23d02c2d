// The tally on three nodes, through what happens to nodes.
import assert from 'node:assert/strict'
import { useRig } from 'gantry/rig/mocha'

describe('tally', () => {
  let rig

  /** What a node's replica answers; fails when it does not. */
  const ask = async (node, word) => {
    const response = await fetch(`http://${rig.node(node).address}:8080/cgi-bin/${word}`, {
      signal: AbortSignal.timeout(2_000),
    })
    assert.equal(response.status, 200)
    return Number(await response.text())
  }
  const add = (node) => ask(node, 'add')
  const agree = (nodes, value) =>
    rig.eventually(async () => {
      const values = await Promise.all(nodes.map((node) => ask(node, 'value')))
      return values.every((one) => one === value) || `${nodes} say ${values}, not ${value}`
    })

  before(async () => {
    rig = await useRig({ nodes: 3 })
    await rig.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'tally-peers' },
      data: { addresses: rig.nodes.map(({ address }) => address).join(' ') },
    })
    await rig.apply(new URL('../tally.yaml', import.meta.url))
    await rig.until('deployment/tally', 'Ready') // all three; Available may be one fewer
  })

  after(() => rig.delete(new URL('../tally.yaml', import.meta.url)))

  it('counts on every node, and all agree', async () => {
    for (const node of ['n1', 'n2', 'n3']) await add(node)
    await agree(['n1', 'n2', 'n3'], 3)
  })

  it('counts on both sides of a partition, and all agree when it is healed', async () => {
    const partition = await rig.partition(['n1'], ['n2', 'n3'])
    await add('n1')
    await add('n2')
    await agree(['n2', 'n3'], 4)
    assert.equal(await ask('n1', 'value'), 4) // its own, and none of theirs
    await partition.heal()
    await agree(['n1', 'n2', 'n3'], 5)
  })

  it('loses nothing with a node, and counts there again when it is back', async () => {
    await rig.node('n3').kill()
    await add('n1')
    await agree(['n1', 'n2'], 6)
    await rig.node('n3').start()
    await agree(['n1', 'n2', 'n3'], 6)
  })

  it('keeps its count through a rolling update', async () => {
    await rig.gantry(['rollout', 'restart', 'deployment/tally'])
    await rig.gantry(['rollout', 'status', 'deployment/tally'])
    await agree(['n1', 'n2', 'n3'], 6)
  })
})
