/** `gantry rig images`: what the rig's registry holds, and more for it. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import type { Environment } from '../../../proto/terminal/environment.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { formatTable } from '../../../proto/terminal/output/table.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { Rig } from '../rig.ts'
import { UsageError } from '../../../proto/client/failures.ts'
import type { FlagValues } from '../../../proto/terminal/flags.ts'

/** Characters of a digest that tell images apart. */
const SHORT_DIGEST = 'sha256:'.length + 12

const listFlags = {
  rig: rigFlag,
  output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'name'], help: 'json or name' },
  'no-headers': { type: 'boolean', help: 'rows only' },
} as const

async function list(
  flags: FlagValues<typeof listFlags>,
  { env, stdout, stderr, signal }: Environment,
): Promise<number> {
  const rig = await Rig.open(await chooseRig(flags.rig, env), { signal })
  try {
    const images = await rig.images()
    if (flags.output === 'json') stdout.write(`${JSON.stringify(images, undefined, 4)}\n`)
    else if (flags.output === 'name') stdout.write(images.map(({ image }) => `${image}\n`).join(''))
    else if (images.length === 0)
      stderr.write('The registry holds no image; `gantry rig images push` puts one there.\n')
    else {
      const rows = images.map(({ image, digest, size }) => [
        image,
        digest.slice(0, SHORT_DIGEST),
        size === undefined ? '-' : `${(size / 2 ** 20).toFixed(1)}Mi`,
      ])
      stdout.write(formatTable([...(flags['no-headers'] ? [] : [['IMAGE', 'DIGEST', 'SIZE']]), ...rows]))
    }
    return EXIT.ok
  } finally {
    rig.close()
  }
}

const push = defineCommand({
  usage: 'IMAGE | ARCHIVE | OCI-FOLDER… [flags]',
  summary: "put images into the rig's registry",
  description:
    "Puts images into the rig's registry: an archive (`docker save`, `skopeo copy … oci-archive:FILE`; compressed or not), an OCI image layout in a folder, or an image of the Docker engine on this host by its name. " +
    'The registry stands in for every other one: a node looks there first for an image of whatever name, and with every pull policy. `gantry rig load` puts images onto the nodes themselves.',
  examples: [
    'gantry rig images push app.tar',
    'gantry rig images push build/oci --name registry.k8s.io/pause:3.10',
    'gantry rig images push app:dev --rig lab',
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
  async run({ flags, args, environment: { env, stdout, signal } }) {
    if (args.length === 0) throw new UsageError('which image?', 'name an archive, a folder or an image')
    if (flags.name !== undefined && args.length > 1) throw new UsageError('--name is for one image')
    const rig = await Rig.open(await chooseRig(flags.rig, env), { signal })
    try {
      for (const image of args) {
        for (const { reference, digest } of await rig.push(image, { name: flags.name }))
          stdout.write(`${reference} (${digest.slice(0, SHORT_DIGEST)}) is in the registry\n`)
      }
      return EXIT.ok
    } finally {
      rig.close()
    }
  },
})

export default defineCommand({
  usage: '[push IMAGE…] [flags]',
  summary: "list what the rig's registry holds, or put images there",
  description:
    "Lists the images in the rig's registry, by the names that manifests have for them. Every node looks there before it asks the registry that an image's name says.",
  examples: ['gantry rig images', 'gantry rig images push app.tar'],
  flags: listFlags,
  completes: 'none',
  subcommands: { push },
  run({ flags, args, environment }) {
    if (args.length > 0)
      throw new UsageError(
        `"${args[0]}" is not expected here`,
        '`gantry rig images` lists, `gantry rig images push` puts images there',
      )
    return list(flags, environment)
  },
})
