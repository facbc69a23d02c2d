import assert from 'node:assert/strict'
import { AGENT_SETTINGS } from '../../../agent/config.ts'
import { AGENT } from '../../../agent/options.ts'
import { CONTROLLER_SETTINGS } from '../../../controller/config.ts'
import { CONTROLLER } from '../../../controller/options.ts'
import { parseConfig, type Settings } from '../../../proto/base/config-file.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { configure, parseInvocation, type Program } from '../../../proto/base/program.ts'

const PROGRAM: Program = {
  name: 'gantry-example',
  purpose: 'Shows.',
  version: '1.2.3',
  flags: {
    listen: { setting: ['listen'], value: 'HOST:PORT', description: 'where' },
    port: { setting: ['ports', 'nats'], value: 'PORT', description: 'which', type: 'count' },
    peer: { setting: ['peers'], value: 'HOST:PORT', description: 'who else', type: 'list' },
  },
}

class Printed {
  out = ''
  err = ''
  readonly stdout = { write: (text: string) => (this.out += text) }
  readonly stderr = { write: (text: string) => (this.err += text) }
}

describe('command line of a program', () => {
  it('turns flags into settings', () => {
    assert.deepEqual(
      parseInvocation(PROGRAM, ['--listen', ':1', '--config=f.yaml', '--peer', 'a:1', '--port', '42', '--peer=b:2']),
      {
        kind: 'run',
        file: 'f.yaml',
        overrides: [
          { flag: '--listen', path: ['listen'], value: ':1' },
          { flag: '--port', path: ['ports', 'nats'], value: 42 },
          { flag: '--peer', path: ['peers'], value: ['a:1', 'b:2'] },
        ],
      },
    )
    assert.deepEqual(parseInvocation(PROGRAM, []), { kind: 'run', file: undefined, overrides: [] })
  })

  it('leaves a count that is none to the setting, which refuses it', () => {
    const invocation = parseInvocation(PROGRAM, ['--port', 'many'])
    assert.equal(invocation.kind === 'run' && invocation.overrides[0]?.value, 'many')
  })

  it('prints help and version', () => {
    const help = parseInvocation(PROGRAM, ['--help'])
    assert.match(
      help.kind === 'print' ? help.text : '',
      /--listen HOST:PORT +where\n[^]*--peer HOST:PORT +who else; may be given several times\n/,
    )
    assert.deepEqual(parseInvocation(PROGRAM, ['--version']), { kind: 'print', text: 'gantry-example 1.2.3\n' })
  })

  const bad: [string, string[], RegExp][] = [
    ['an unknown flag', ['--lisen', 'x'], /^there is no flag --lisen, did you mean --listen\? \(gantry-example --help/],
    ['a flag like something of every object', ['--toString'], /^there is no flag --toString/],
    ['a missing value', ['--listen'], /^--listen needs a value: --listen HOST:PORT/],
    ['a flag for a value', ['--listen', '--port'], /^--listen needs a value/],
    ['a flag given twice', ['--listen', 'a', '--listen', 'b'], /^--listen is given twice/],
    ['a value for none', ['--help=yes'], /^--help takes no value/],
    ['an argument', ['serve'], /^"serve" is not a flag/],
    ['a terminator', ['--'], /^"--" is not a flag/],
  ]
  for (const [what, argv, message] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => parseInvocation(PROGRAM, argv),
        (error) =>
          (GantryError.is(error, 'InvalidArgument') && message.test(error.message)) || assert.fail(String(error)),
      )
    })
  }
})

describe('programs', () => {
  async function refusal<T extends object>(program: Program, settings: Settings<T>, argv: string[]): Promise<string> {
    const printed = new Printed()
    assert.deepEqual(await configure(program, settings, argv, printed), { exitCode: 2 })
    assert.equal(printed.out, '')
    return printed.err
  }

  it('the controller takes flags alone', async () => {
    const start = await configure(
      CONTROLLER,
      CONTROLLER_SETTINGS,
      [
        '--name',
        'c1',
        '--listen',
        '127.0.0.1:7443',
        '--data-dir',
        '/d',
        '--pod-cidr',
        '10.8.0.0/16',
        '--tls-ca',
        'a',
        '--tls-cert',
        'b',
        '--tls-key',
        'c',
        '--nats',
        'nats://h:1',
        '--nats-port',
        '5',
      ],
      new Printed(),
    )
    assert.deepEqual(start, {
      settings: {
        name: 'c1',
        listen: '127.0.0.1:7443',
        kubeListen: '0.0.0.0:6443',
        advertise: undefined,
        dataDir: '/d',
        tls: { ca: 'a', cert: 'b', key: 'c' },
        podCidr: '10.8.0.0/16',
        serviceCidr: '10.96.0.0/16',
        clusterDomain: 'cluster.local',
        etcd: [],
        etcdTls: undefined,
        externalCidrs: [],
        nodeAddresses: [],
        nats: ['nats://h:1'],
        members: [],
        ports: { nats: 5, etcdPeer: 2380, natsPeer: 6222, processes: 7450 },
        serve: 1,
      },
    })
  })

  it('refuse with what is wrong and exit code 2', async () => {
    assert.equal(await refusal(CONTROLLER, CONTROLLER_SETTINGS, []), 'command line:1:1: tls is missing\n')
    assert.match(
      await refusal(CONTROLLER, CONTROLLER_SETTINGS, ['--tls-ca', 'a', '--pod-cidr', '10.8.0.1/16']),
      /^command line:1:1: tls\.cert is missing\n.*tls\.key is missing\n--pod-cidr: must be a range of a \/24 or larger/,
    )
    assert.equal(
      await refusal(AGENT, AGENT_SETTINGS, ['--controller', 'c', '--runtime', 'docker']),
      '--controller: must be HOST:PORT\n--runtime: must be one of auto, crun, runc\n',
    )
    for (const path of ['/', '/a/', '/a/../b'])
      assert.equal(
        await refusal(AGENT, AGENT_SETTINGS, ['--controller', 'c:1', '--cgroup-parent', path]),
        '--cgroup-parent: must be a path below /\n',
      )
    assert.match(
      await refusal(AGENT, AGENT_SETTINGS, ['--config', '/nonexistent/agent.yaml']),
      /^cannot read the configuration file \/nonexistent\/agent\.yaml/,
    )
  })

  it('refuse labels that are not for a node to give', () => {
    const read = (key: string) =>
      parseConfig(JSON.stringify({ controllers: ['c:1'], labels: { [key]: 'true' } }), 'test', AGENT_SETTINGS)
    assert.deepEqual(read('topology.kubernetes.io/zone').labels, { 'topology.kubernetes.io/zone': 'true' })
    assert.throws(() => read('gantry.dev/entrance'), {
      code: 'InvalidArgument',
      message: /labels\.gantry\.dev\/entrance is for administrators to give: use gantry label node/,
    })
  })

  it('print their help', async () => {
    const printed = new Printed()
    assert.deepEqual(await configure(AGENT, AGENT_SETTINGS, ['--help'], printed), { exitCode: 0 })
    assert.match(printed.out, /--state-dir DIR/)
  })
})
