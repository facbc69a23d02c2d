/** `gantry version`: of this program and of the controller. */
import program from '../../package.json' with { type: 'json' }
import { GantryError } from '../../proto/base/errors.ts'
import type { VersionResponse } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'show the versions of client and server',
  examples: ['gantry version', 'gantry version --client -o json'],
  flags: {
    client: { type: 'boolean', help: 'of this program only' },
    output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'yaml'], help: 'json or yaml' },
  },
  completes: 'none',
  async run({ flags, environment, target }) {
    const client = { version: program.version, nodeVersion: process.version }
    let server: VersionResponse | undefined
    let failure: GantryError | undefined
    if (!flags.client) {
      try {
        server = await (await target.cluster()).version()
      } catch (thrown) {
        failure = GantryError.from(thrown) // the client's version is told even if the server's cannot be
      }
    }
    const versions = { clientVersion: client, ...(server === undefined ? {} : { serverVersion: server }) }
    if (flags.output === 'json') environment.stdout.write(`${JSON.stringify(versions, undefined, 2)}\n`)
    else if (flags.output === 'yaml')
      environment.stdout.write(
        (await import('../../proto/base/yaml-text.ts')).formatYaml(JSON.parse(JSON.stringify(versions))),
      )
    else {
      environment.stdout.write(`Client Version: ${client.version}\n`)
      if (server !== undefined)
        environment.stdout.write(
          `Server Version: ${server.version} (${server.controller}${server.leader === '' ? ', no leader now' : `, leader ${server.leader}`})\n`,
        )
    }
    if (failure !== undefined) throw failure
  },
})
