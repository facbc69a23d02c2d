/** `gantry rig load`: images onto every node, without a registry. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { Rig } from '../rig.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: 'IMAGE | ARCHIVE | OCI-FOLDER… [flags]',
  summary: 'put images onto every node, without a registry',
  description:
    'Puts images onto every node: an archive (`docker save`, `skopeo copy … oci-archive:FILE`; compressed or not), an OCI image layout in a folder, or an image of the Docker engine on this host by its name. Pods whose pull policy is IfNotPresent or Never then start from it.',
  examples: [
    'gantry rig load app.tar',
    'gantry rig load build/oci --name app:dev',
    'gantry rig load app:dev --rig lab',
  ],
  flags: {
    rig: rigFlag,
    name: {
      type: 'text',
      value: 'repository:tag',
      help: 'name of the image, if the archive holds one image or one without a name',
    },
  },
  completes: 'none',
  async run({ flags, args, environment }) {
    if (args.length === 0) throw new UsageError('which image?', 'name an archive, a folder or an image')
    if (flags.name !== undefined && args.length > 1) throw new UsageError('--name is for one image')
    const { stdout, stderr, signal } = environment
    const rig = await Rig.open(await chooseRig(flags.rig, environment.env), {
      signal,
      progress: (text) => void (stderr.isTTY === true && stderr.write(`\r\x1b[K${text}`)),
    })
    try {
      for (const image of args) {
        const loaded = await rig.load(image, { name: flags.name })
        if (stderr.isTTY === true) stderr.write('\r\x1b[K')
        for (const { reference, digest } of loaded)
          stdout.write(
            `${reference} (${digest.slice(0, 'sha256:'.length + 12)}) is on ${rig.nodes.length} node${rig.nodes.length === 1 ? '' : 's'}\n`,
          )
      }
    } finally {
      rig.close()
    }
  },
})
