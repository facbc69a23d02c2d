/** A partition: packets between two sides vanish, those of established connections too. */
import { defineFault } from './contract.ts'
import { beginRules, removeRules, renewRules, type Undo } from './packet-rules.ts'
import { between, betweenWords } from './parties.ts'

const FATE = 'drop'

export const partitionFault = defineFault({
  kind: 'partition',
  says: 'cut machines off from others: their packets vanish',
  parameters: between,
  examples: [
    'partition n1',
    'partition n1 n2,n3 --for 10s',
    'partition controller-1 controllers',
    'partition n1 n2 --one-way',
    'partition nodes controllers --port 7443',
    'partition n1 host',
  ],
  describe: (values) => `no packets ${betweenWords(values)}`,

  async begin(field, values, { id, record }) {
    return { undo: await beginRules(field, id, values, FATE, record), note: 'by the kernel (nftables)' }
  },

  end: (field, undo) => removeRules(field, undo as unknown as Undo),

  async renew(field, undo, values, machine) {
    await renewRules(field, undo as unknown as Undo, values, FATE, machine)
    return undo
  },
})
