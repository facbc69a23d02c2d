import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { AGENT } from '../../agent/options.ts'
import { AGENT_SETTINGS } from '../../agent/config.ts'
import { CONTROLLER } from '../../controller/options.ts'
import { CONTROLLER_SETTINGS } from '../../controller/config.ts'
import { configure, type Program } from '../../proto/base/program.ts'
import type { Settings } from '../../proto/base/config-file.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const UNITS = join(ROOT, 'deploy/systemd')

/** Section → directive → value, systemd.syntax(7); each directive of these units stands once. */
function readUnit(name: string): Record<string, Record<string, string>> {
  const unit: Record<string, Record<string, string>> = {}
  let section: Record<string, string> | undefined
  for (const line of readFileSync(join(UNITS, name), 'utf8').split('\n')) {
    const title = /^\[(\w+)\]$/.exec(line)?.[1]
    if (title !== undefined) section = unit[title] = {}
    if (title !== undefined || line === '' || line.startsWith('#')) continue
    const [, directive, value] = /^(\w+)=(.+)$/.exec(line) ?? assert.fail(`${name}: ${line}`)
    assert.ok(section !== undefined && !Object.hasOwn(section, directive!), `${name}: ${line}`)
    section[directive!] = value!
  }
  return unit
}

/** Directives that give a unit a mount namespace of its own, or remove its files when it stops: systemd.exec(5). */
const LOSES_PODS =
  /^(Private(Tmp|Devices|Mounts|IPC|Network|Users)|Protect\w+|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|Bind(ReadOnly)?Paths|TemporaryFileSystem|Root(Directory|Image)|RuntimeDirectory|MountFlags|MountAPIVFS|DynamicUser)$/

describe('systemd units', () => {
  const programs = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> }).bin

  it('are those of the controller and the agent', () =>
    assert.deepEqual(readdirSync(UNITS).sort(), ['gantry-agent.service', 'gantry-controller.service']))

  it('start an installed program with arguments that it takes', async () => {
    for (const [unit, program, settings] of [
      ['gantry-agent.service', AGENT, AGENT_SETTINGS],
      ['gantry-controller.service', CONTROLLER, CONTROLLER_SETTINGS],
    ] as [string, Program, Settings<object>][]) {
      const [command, ...args] = readUnit(unit).Service!.ExecStart!.split(' ')
      assert.ok(Object.hasOwn(programs, command!), command)
      let stderr = ''
      const printed = { write: (text: string) => (stderr += text) !== '' }
      assert.deepEqual(await configure(program, settings, args, { stdout: printed, stderr: printed }), { exitCode: 2 })
      assert.match(
        stderr,
        new RegExp(`cannot read the configuration file ${args[1]}`),
        'it is the file alone that is missing here',
      )
    }
  })

  it('start again without end, but not with a configuration that is refused', () => {
    for (const unit of readdirSync(UNITS).map(readUnit)) {
      assert.deepEqual(
        [unit.Unit!.StartLimitIntervalSec, unit.Service!.Restart, unit.Service!.RestartPreventExitStatus],
        ['0', 'always', '2'],
      )
    }
  })

  it('leave containers alone when the agent ends, and their mounts where the next agent finds them', () => {
    const { Service } = readUnit('gantry-agent.service')
    assert.deepEqual([Service!.KillMode, Service!.Delegate, Service!.OOMPolicy], ['process', 'yes', 'continue'])
    assert.deepEqual(
      Object.keys(Service!).filter((directive) => LOSES_PODS.test(directive)),
      [],
    )
  })
})
