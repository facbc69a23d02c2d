/** `gantry rig node`: nodes come and go. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { Progress } from '../progress.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { Rig } from '../rig.ts'
import { UsageError } from '../../../proto/client/failures.ts'

const add = defineCommand({
  usage: '[COUNT] [flags]',
  summary: 'add nodes',
  description: 'Adds nodes (one, unless said) with the lowest free numbers, and returns when they are Ready.',
  examples: ['gantry rig node add', 'gantry rig node add 3 --rig lab'],
  flags: { rig: rigFlag },
  completes: 'none',
  async run({ flags, args, environment }) {
    const [count = '1', unexpected] = args
    if (unexpected !== undefined)
      throw new UsageError(`"${unexpected}" is not expected here`, 'nodes get their names from the rig')
    if (!/^[1-9]\d*$/.test(count)) throw new UsageError(`COUNT is a whole number from 1, not "${count}"`)
    const name = await chooseRig(flags.rig, environment.env)
    const progress = new Progress(`Rig "${name}"`, environment)
    const rig = await Rig.open(name, {
      signal: environment.signal,
      progress: (text) => progress.show(text),
      warn: (text) => environment.stderr.write(`warning: ${text}\n`),
    })
    try {
      const nodes = await rig.addNode(Number(count))
      progress.end()
      for (const node of nodes) environment.stdout.write(`${node.name} is added, at ${node.address}\n`)
      return EXIT.ok
    } finally {
      progress.end()
      rig.close()
    }
  },
})

const remove = defineCommand({
  usage: 'NODE… [flags]',
  summary: 'remove nodes',
  description:
    'Takes nodes away: no new pods on them, their pods deleted with their grace, then the Node objects and the machines.',
  examples: ['gantry rig node remove n3', 'gantry rig node remove n3 --now'],
  flags: { rig: rigFlag, now: { type: 'boolean', help: 'at once, without emptying them: as if they had burnt' } },
  completes: 'machines',
  async run({ flags, args, environment }) {
    if (args.length === 0) throw new UsageError('which node?', '`gantry rig status` lists them')
    const name = await chooseRig(flags.rig, environment.env)
    const progress = new Progress(`Rig "${name}"`, environment)
    const rig = await Rig.open(name, { signal: environment.signal, progress: (text) => progress.show(text) })
    try {
      for (const node of args) {
        await rig.removeNode(node, { now: flags.now })
        progress.end()
        environment.stdout.write(`${node} is removed\n`)
      }
      return EXIT.ok
    } finally {
      progress.end()
      rig.close()
    }
  },
})

export default defineCommand({
  usage: '(add | remove) [flags]',
  summary: 'add and remove nodes',
  description: 'Adds and removes nodes.',
  examples: ['gantry rig node add 2', 'gantry rig node remove n3'],
  flags: {},
  completes: 'none',
  subcommands: { add, remove },
})
