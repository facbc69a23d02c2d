/** Packet loss: a share of the packets between two sides vanishes, chosen by chance. */
import { defineFault } from './contract.ts'
import { beginRules, removeRules, renewRules, type Undo } from './packet-rules.ts'
import { linkParameters, betweenWords } from './link.ts'

/** Chances are told to the kernel in millionths. */
const WHOLE = 1_000_000

function verdictFor(share: number): string {
  const lost = Math.round(share * WHOLE)
  // nft refuses a chance of all.
  return lost === WHOLE ? 'drop' : `numgen random mod ${WHOLE} < ${lost} drop`
}

export const lossFault = defineFault({
  kind: 'loss',
  says: 'lose a share of the packets between machines',
  parameters: { ...linkParameters, share: { type: 'share', required: true, says: 'how many of them: 5%' } },
  examples: ['loss n1 --share 5%', 'loss n1 n2 --share 30% --one-way --for 30s'],
  describe: (values) => `${Number((values.share * 100).toFixed(4))}% of packets ${betweenWords(values)} lost`,

  async begin(field, values, { id, record }) {
    return {
      undo: await beginRules(field, id, values, verdictFor(values.share), record),
      note: 'by the kernel (nftables); each packet is dropped at random where it arrives',
    }
  },

  end: (field, undo) => removeRules(field, undo as unknown as Undo),

  async renew(field, undo, values, machine) {
    await renewRules(field, undo as unknown as Undo, values, verdictFor(values.share), machine)
    return undo
  },
})
