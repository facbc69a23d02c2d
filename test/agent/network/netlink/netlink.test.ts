/** What calls of netlink come to, beside what the programs ip(8) and nft(8) make of the same text. */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLONE_NEWNET, MNT_DETACH, MS_BIND, SystemCalls } from '../../../../agent/host/system-calls.ts'
import { ip, nft, type IpText, type NftText } from '../../../../agent/host/program-text.ts'
import { deleteLinks, joinPorts, podLinkCommands } from '../../../../agent/network/commands.ts'
import { addPodElements, guardTable, removePodElements } from '../../../../agent/network/firewall.ts'
import { ipCalls } from '../../../../agent/network/netlink/ip-calls.ts'
import { nftCall } from '../../../../agent/network/netlink/nft-calls.ts'
import { systemClock } from '../../../../proto/base/clock.ts'
import { run } from '../../../../proto/base/command.ts'

const POD = ['10.1.0.2', 'fd00:1::2']
const GATEWAYS = ['10.1.0.1', 'fd00:1::1']
const OTHER = ['10.1.0.3']

/** Where a text is carried out: by the program, or by calls. */
interface Side {
  readonly node: string
  readonly pod: string
}

describe('netlink', () => {
  let directory: string
  let byProgram: Side
  let byCalls: Side
  const calls = new SystemCalls(systemClock)

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-netlink-'))
    byProgram = { node: join(directory, 'program-node'), pod: join(directory, 'program-pod') }
    byCalls = { node: join(directory, 'calls-node'), pod: join(directory, 'calls-pod') }
    for (const pin of [byProgram, byCalls].flatMap(({ node, pod }) => [node, pod])) {
      closeSync(openSync(pin, 'a'))
      await calls.make([
        { call: 'unshare', flags: CLONE_NEWNET },
        { call: 'mount', source: '/proc/self/ns/net', target: pin, type: 'none', flags: MS_BIND, options: '' },
      ])
    }
  })
  afterEach(async () => {
    const pins = [byProgram, byCalls].flatMap(({ node, pod }) => [node, pod])
    await calls.makeEach(pins.map((target) => ({ call: 'umount', target, flags: MNT_DETACH })))
    rmSync(directory, { recursive: true })
  })
  after(() => calls.stop())

  const inside = async (netns: string, program: string, args: readonly string[], stdin?: string): Promise<string> =>
    (await run('nsenter', [`--net=${netns}`, '--', program, ...args], stdin === undefined ? {} : { stdin })).stdout
  /** The same text on both sides, and what there is then. */
  const both = async (where: keyof Side, text: (side: Side) => IpText): Promise<void> => {
    await inside(byProgram[where], 'ip', ['-batch', '-'], text(byProgram).text)
    await calls.make([{ call: 'setns', path: byCalls[where] }, ...ipCalls(text(byCalls))])
    await alike(where)
  }
  const alike = async (where: keyof Side): Promise<void> => {
    for (const question of [
      ['addr', 'show'],
      ['-4', 'route', 'show', 'table', 'all'],
      ['-6', 'route', 'show', 'table', 'all'],
      ['neigh', 'show'],
    ]) {
      const answers = await Promise.all(
        [byProgram, byCalls].map(async (side) => cleaned(await inside(side[where], 'ip', ['-details', ...question]))),
      )
      assert.deepEqual(answers[1], answers[0], question.join(' '))
    }
  }

  it('makes the link of a pod and the port of it that ip makes', async () => {
    const links = POD.map((address, index) => ({ address, gateway: GATEWAYS[index]! }))
    await both('pod', ({ node }) => podLinkCommands({ addresses: links, mtu: 1400, nodeNetns: node }))
    await both('node', () => joinPorts([POD], GATEWAYS))
    await both('node', () => joinPorts([POD], GATEWAYS))
    await alike('pod')
    await both('node', () => ip`link set gv0a010002 mtu 1300 up`)
    await both('node', () => deleteLinks(['gv0a010002']))
    await alike('pod')
  })

  it('changes the elements of a set that nft changes, all or none', async () => {
    for (const { node } of [byProgram, byCalls]) await inside(node, 'nft', ['-f', '-'], guardTable([OTHER], 8472).text)
    const change = async (text: NftText): Promise<void> => {
      await inside(byProgram.node, 'nft', ['-f', '-'], text.text)
      await calls.make([{ call: 'setns', path: byCalls.node }, nftCall(text)])
      const [program, call] = await Promise.all(
        [byProgram, byCalls].map(({ node }) => inside(node, 'nft', ['list', 'ruleset'])),
      )
      assert.equal(call, program)
    }
    await change(addPodElements([POD, ['10.1.0.4', 'fd00:1::4']]))
    await change(addPodElements([POD]))
    await change(removePodElements([POD, ['10.1.0.9']]))
    const many = Array.from({ length: 1000 }, (_, index) => [
      `10.2.${index >> 8}.${index & 255}`,
      `fd00:2::${index + 1}`,
    ])
    await change(addPodElements(many))
    await change(removePodElements(many))
    const unknown = nft.lines(
      nft`add element inet gantry_guard pods4 { "gvx" . 02:00:00:00:00:01 . 10.1.0.7 }`,
      nft`delete element inet gantry_guard pods4 { "gvx" . 02:00:00:00:00:01 . 10.1.0.8 }`,
    )
    await assert.rejects(calls.make([{ call: 'setns', path: byCalls.node }, nftCall(unknown)]), { code: 'NotFound' })
    assert.doesNotMatch(await inside(byCalls.node, 'nft', ['list', 'ruleset']), /gvx/)
  })

  it('tells what the kernel refuses', async () => {
    const refused = async (text: IpText, errno: string): Promise<void> => {
      const results = await calls.makeEach([{ call: 'setns', path: byCalls.pod }, ...ipCalls(text)])
      assert.equal(results.at(-1)!.errno, errno)
    }
    await refused(deleteLinks(['gv0a010002']), 'ENODEV')
    await refused(ip`addr add 10.1.0.1/32 dev gantry9`, 'ENODEV')
    await refused(ip.lines(ip`link set lo up`, ip`addr add 127.0.0.1/8 dev lo`), 'EEXIST')
  })

  it('takes no command that it does not know whole', () => {
    for (const text of [
      ip`link add br0 type bridge`,
      ip`link set lo down`,
      ip`addr add 10.1.0.1 dev lo`,
      ip`addr add 10.1.0.1/33 dev lo`,
      ip`route add default dev`,
      ip`route add default dev lo`,
      ip`route add 10.1.0.0/24 dev lo metric 5`,
      ip`neigh replace 10.1.0.1 lladdr 02:00 dev lo nud permanent`,
      ip`link del device-with-a-long-name`,
    ])
      assert.throws(() => ipCalls(text), { code: 'InvalidArgument' }, text.text)
    for (const text of [
      nft`delete table inet gantry_guard`,
      nft`add element ip a b { 10.1.0.1 }`,
      nft`add element inet a b { 80 }`,
    ])
      assert.throws(() => nftCall(text), { code: 'InvalidArgument' }, text.text)
  })
})

/**
 * Without what differs between any two machines: numbers of devices, addresses that the kernel makes up, times, and
 * what the kernel finds out of links in its own time.
 */
function cleaned(text: string): string[] {
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/@if\d+/, '@if')
        .replace(/link-netnsid \d+|link-netns \S+/, '')
        .replace(/used \S+|proto kernel_ll/, '')
        .replace(/NO-CARRIER,|,LOWER_UP|state (?:UP|DOWN|UNKNOWN|LOWERLAYERDOWN)|,?M-DOWN| linkdown/g, ''),
    )
    .filter((line) => !/fe80:|ff00::|link\/ether (?!02:67)/.test(line))
    .sort()
}
