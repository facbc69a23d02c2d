/** `gantry rig run`: runs scenarios and tells what came of them. */
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { defineCommand } from '../../../proto/terminal/command.ts'
import type { Environment } from '../../../proto/terminal/environment.ts'
import { EXIT, formatFailure } from '../../../proto/terminal/failure.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { faultTypes } from '../faults/index.ts'
import type { Named } from '../faults/values.ts'
import { Rig } from '../rig.ts'
import { junitXml } from '../scenario/junit.ts'
import { readScenario } from '../scenario/parse.ts'
import { perform, type PerformListener } from '../scenario/perform.ts'
import type { ScenarioResult } from '../scenario/result.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { TextReport } from '../scenario/text-report.ts'
import { UsageError } from '../../../proto/client/failures.ts'

/** One that tells nothing on the way. */
const SILENT: PerformListener = { ready: () => undefined, begun: () => undefined, ended: () => undefined }

export default defineCommand({
  usage: 'FILE… [flags]',
  summary: 'run scenarios: steps, faults, waits and checks',
  description:
    'Runs scenarios, one after the other, each on a rig of its own that is made for it and removed after it, or all on one that is there (--rig), which is left as it was. ' +
    'Files are read whole before anything is made. After a failure everything that the rig logged is kept in one archive. Exit code 1: a scenario failed; 2: a file or the command line is wrong.',
  examples: [
    'gantry rig run rolling-update.yaml',
    'gantry rig run tests/*.yaml --junit results.xml',
    'gantry rig run web.yaml --rig lab',
    'gantry rig run web.yaml --keep',
  ],
  flags: {
    rig: { type: 'text', value: 'name', help: 'run on this rig, which is there and stays' },
    keep: { type: 'boolean', help: 'leave the rig, what is on it and the faults in force, to look at' },
    output: { type: 'text', short: 'o', value: 'form', choices: ['json'], help: 'json: the results as one document' },
    junit: { type: 'text', value: 'file', help: 'write the results as JUnit XML, too', completes: 'file' },
    logs: {
      type: 'text',
      value: 'directory',
      help: 'where archives of logs go after a failure (default: the directory for temporary files)',
      completes: 'file',
    },
    check: { type: 'boolean', help: 'only read the files and tell what is wrong with them' },
  },
  completes: 'none',
  async run({ flags, args, environment }) {
    if (args.length === 0) throw new UsageError('which scenarios? Name their files')
    const machines = flags.rig === undefined ? undefined : await machinesOfRig(flags.rig)
    const scenarios = readAll(args, machines, environment)
    if (scenarios === undefined) return EXIT.usage
    if (flags.check) {
      for (const { file, steps } of scenarios) environment.stdout.write(`${file}: ${steps.length} steps\n`)
      return EXIT.ok
    }
    const results: ScenarioResult[] = []
    for (const scenario of scenarios) {
      if (environment.signal.aborted) break
      const report = flags.output === undefined ? new TextReport(scenario, environment) : undefined
      const result = await perform(scenario, {
        rig: () => (flags.rig === undefined ? upFor(scenario, flags.keep, environment) : Rig.open(flags.rig)),
        own: flags.rig === undefined,
        keep: flags.keep,
        clock: environment.clock,
        signal: environment.signal,
        listener: report ?? SILENT,
        archive: ({ name }) =>
          join(
            resolve(environment.cwd, flags.logs ?? tmpdir()),
            `gantry-${slug(name)}-${new Date(environment.clock.now()).toISOString().replace(/\D/g, '').slice(0, 14)}.tar.gz`,
          ),
      })
      report?.finish(result)
      if (flags.keep && result.rig !== '')
        environment.stderr.write(`the rig "${result.rig}" is left; \`gantry rig down ${result.rig}\` ends it\n`)
      results.push(result)
    }
    if (flags.output === 'json') environment.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`)
    if (flags.junit !== undefined) await writeFile(resolve(environment.cwd, flags.junit), junitXml(results))
    environment.signal.throwIfAborted()
    return results.every(({ status }) => status === 'passed') ? EXIT.ok : EXIT.refused
  },
})

/** Undefined if one of them is wrong, which standard error has told, of all of them. */
function readAll(
  files: readonly string[],
  machines: readonly Named[] | undefined,
  { cwd, stderr }: Environment,
): Scenario[] | undefined {
  const scenarios = files.flatMap((file): Scenario[] => {
    try {
      return [readScenario(file, { cwd, machines, faults: Object.values(faultTypes) })]
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (error.code === 'Internal') throw thrown
      stderr.write(formatFailure(error, undefined))
      return []
    }
  })
  return scenarios.length === files.length ? scenarios : undefined
}

async function machinesOfRig(name: string): Promise<Named[]> {
  const rig = await Rig.open(name)
  rig.close()
  return rig.machines.map((machine) => ({ name: machine.name, role: machine.role }))
}

function upFor({ rig }: Scenario, keep: boolean, { signal, stderr }: Environment): Promise<Rig> {
  return Rig.up({ ...rig, ephemeral: !keep, signal, warn: (text) => void stderr.write(`warning: ${text}\n`) })
}

/** A name as part of a file's name. */
function slug(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40)
}
