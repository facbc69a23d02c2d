/** A partition: packets between two sides vanish, those of established connections too. */
import { defineFault } from './contract.ts'
import { beginRules, removeRules, renewRules, type Undo } from './packet-rules.ts'
import { linkParameters, betweenWords } from './link.ts'

const VERDICT = 'drop'

export const partitionFault = defineFault({
  kind: 'partition',
  says: 'cut machines off from others: their packets vanish',
  parameters: linkParameters,
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
    return { undo: await beginRules(field, id, values, VERDICT, record), note: 'by the kernel (nftables)' }
  },

  end: (field, undo) => removeRules(field, undo as unknown as Undo),

  async renew(field, undo, values, machine) {
    await renewRules(field, undo as unknown as Undo, values, VERDICT, machine)
    return undo
  },
})
