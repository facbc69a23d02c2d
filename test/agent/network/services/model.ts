/**
 * The table as the kernel would hold it, changed by the very text that nft is given: what the property tests compare
 * with.
 */
import assert from 'node:assert/strict'
import type { NftText } from '../../../../agent/host/program-text.ts'

const ELEMENT = /^(add|delete) element inet gantry_services (\S+) \{ (.*) \}$/
const CHAIN = /^(add|flush|delete) chain inet gantry_services (\S+)$/

export class TableModel {
  readonly elements = new Map<string, Map<string, string>>()
  readonly chains = new Set<string>()

  /** As the kernel: fails where it would, and then has changed nothing. */
  execute(commands: readonly NftText[]): void {
    for (const { text: command } of commands) {
      const [, verb, map, list] = ELEMENT.exec(command) ?? []
      if (list !== undefined) {
        for (const element of list.split(', ')) this.#element(verb!, map!, element)
        continue
      }
      const [, action, chain] = CHAIN.exec(command) ?? []
      if (action === 'add') this.chains.add(chain!)
      else if (action === 'flush') assert.ok(this.chains.has(chain!), command)
      else if (action === 'delete') {
        assert.ok(this.chains.delete(chain!), command)
        assert.ok(![...this.of('picks').values()].includes(`goto ${chain}`), `${chain} is removed while it is used`)
      } else assert.match(command, /^add rule inet gantry_services /)
    }
    for (const verdict of this.of('picks').values())
      if (verdict.startsWith('goto ') && verdict !== 'goto nobody')
        assert.ok(this.chains.has(verdict.slice(5)), `${verdict}: no such chain`)
  }

  of(map: string): Map<string, string> {
    let elements = this.elements.get(map)
    if (elements === undefined) this.elements.set(map, (elements = new Map()))
    return elements
  }

  /** Where a connection to this address and port may end: each slot's target in order, or what happens instead. */
  resolve(front: string, inside: boolean): string {
    const [map, key] = front.split('/') as [string, string]
    let value = this.of(map).get(key)
    if (value === undefined) return 'nothing'
    if (inside) value = this.of('inside').get(value) ?? value
    const verdict = this.of('picks').get(value)
    assert.ok(verdict !== undefined, `${front} leads to ${value}, which leads nowhere`)
    const [, kind, family, count, affinity] = /^goto (pick|keep)([46])_(\d+)(?:_(\d+))?$/.exec(verdict) ?? []
    if (kind === undefined) return verdict
    const targets = Array.from({ length: Number(count) }, (_, slot) => {
      if (kind === 'pick') return this.of(`slots${family}`).get(`${value} . ${slot}`)
      return this.of(`sticky${family}`).get(`${value} . ${this.of('ids').get(`${value} . ${slot}`)}`)
    })
    assert.ok(
      targets.every((target) => target !== undefined),
      `${front}: a slot is empty`,
    )
    assert.equal(new Set(targets).size, targets.length, `${front}: a target stands twice`)
    return `${affinity ?? ''} ${targets.sort().join(', ')}`
  }

  #element(verb: string, map: string, element: string): void {
    const [key, value = ''] = element.split(' : ') as [string, string?]
    const elements = this.of(map)
    if (verb === 'add') {
      assert.ok(!elements.has(key), `${map} ${key} is added, but there is one`)
      elements.set(key, value)
    } else assert.ok(elements.delete(key), `${map} ${key} is deleted, but there is none`)
  }
}
