import assert from 'node:assert/strict'
import { AGENT_SETTINGS } from '../../../../agent/config.ts'
import { allowedSysctlProblem, sysctlName } from '../../../../agent/host/sysctl-names.ts'
import { checkSysctls } from '../../../../agent/pods/plan/sysctls.ts'
import { parseConfig } from '../../../../proto/base/config-file.ts'
import type { PodSpec } from '../../../../proto/gen/types.ts'
import { makePod } from '../../fakes.ts'
import { NodeFixture } from '../fixture.ts'

function refused(
  names: readonly string[],
  allowed: readonly string[] = [],
  spec: Partial<PodSpec> = {},
): string | undefined {
  const refusal = checkSysctls(
    makePod('web', { ...spec, securityContext: { sysctls: names.map((name) => ({ name, value: '1' })) } }),
    allowed,
  )
  assert.ok(refusal === undefined || refusal.reason === 'SysctlForbidden')
  return refusal?.message
}

describe('kernel settings of a pod', () => {
  it('may be the safe ones, in either way to write them', () => {
    assert.equal(
      refused([
        'kernel.shm_rmid_forced',
        'net.ipv4.ip_local_port_range',
        'net.ipv4.tcp_syncookies',
        'net.ipv4.ping_group_range',
        'net.ipv4.ip_unprivileged_port_start',
        'net.ipv4.ip_local_reserved_ports',
        'net.ipv4.tcp_keepalive_time',
        'net.ipv4.tcp_fin_timeout',
        'net.ipv4.tcp_keepalive_intvl',
        'net.ipv4.tcp_keepalive_probes',
        'net.ipv4.tcp_rmem',
        'net/ipv4/tcp_wmem',
      ]),
      undefined,
    )
  })

  it('are named as the runtime has them: a dot within a part becomes a slash', () => {
    assert.deepEqual(['net.ipv4.tcp_rmem', 'net/ipv4/conf/eth0.5/rp_filter'].map(sysctlName), [
      'net.ipv4.tcp_rmem',
      'net.ipv4.conf.eth0/5.rp_filter',
    ])
  })

  it('may not be others, unless the agent allows them by name or by the beginning of it', () => {
    for (const name of [
      'net.core.somaxconn',
      'net.ipv4.ip_forward',
      'kernel.msgmax',
      'kernel.sem',
      'fs.mqueue.msg_max',
      'net/ipv4/conf/eth0.5/rp_filter',
    ])
      assert.match(refused([name])!, /^forbidden sysctl: /, name)
    assert.equal(
      refused(['net.core.somaxconn', 'kernel.msgmax', 'kernel.msgmnb'], ['net.core.somaxconn', 'kernel.msg*']),
      undefined,
    )
    assert.equal(refused(['net/ipv4/conf/eth0.5/rp_filter'], ['net/ipv4/conf/eth0.5/rp_filter']), undefined)
    assert.match(
      refused(['net.core.somaxconn', 'net.core.somaxconn2'], ['net.core.somaxconn'])!,
      /"net.core.somaxconn2"/,
    )
  })

  it('may never be those of the node', () => {
    assert.match(refused(['vm.swappiness'], ['vm.swappiness'])!, /namespaces/)
    assert.match(refused(['net.ipv4.tcp_syncookies'], ['net.*'], { hostNetwork: true })!, /hostNetwork/)
    assert.match(refused(['kernel.shm_rmid_forced'], ['kernel.*'], { hostIPC: true })!, /hostIPC/)
    assert.equal(refused(['kernel.shm_rmid_forced'], [], { hostNetwork: true }), undefined)
  })

  it('are allowed by a setting that names only what a pod may have', () => {
    for (const right of [
      'net.core.somaxconn',
      'net.*',
      'kernel.msg*',
      'kernel.shm*',
      'kernel.sem',
      'fs.mqueue.*',
      'net/core/somaxconn',
    ])
      assert.equal(allowedSysctlProblem(right), undefined, right)
    for (const wrong of ['vm.swappiness', 'kernel.*', '*', 'net.*.x', 'kernel.panic', 'fs.file-max'])
      assert.notEqual(allowedSysctlProblem(wrong), undefined, wrong)
    const parse = (allowedUnsafeSysctls: readonly string[]): readonly string[] =>
      parseConfig(JSON.stringify({ controllers: ['c:1'], allowedUnsafeSysctls }), 'test', AGENT_SETTINGS)
        .allowedUnsafeSysctls
    assert.deepEqual(parse(['net.core.somaxconn']), ['net.core.somaxconn'])
    assert.throws(() => parse(['vm.*']), { code: 'InvalidArgument' })
  })

  describe('on a node', () => {
    const node = new NodeFixture()

    before(async () => {
      await node.start()
      await node.welcome()
    })

    after(() => node.remove())

    it('make a pod fail where they are not allowed, and nothing of it is started', async () => {
      node.assignAll(makePod('web', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }))
      const { reason, message } = await node.phase('web', 'Failed')
      assert.equal(reason, 'SysctlForbidden')
      assert.match(message!, /kernel\.msgmax/)
      assert.equal(node.machine.sandboxes.size, 0)
      assert.ok(node.reports.events.some((event) => event.reason === 'SysctlForbidden' && event.type === 'Warning'))
    })
  })
})
