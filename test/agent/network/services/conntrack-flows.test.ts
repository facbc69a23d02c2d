import assert from 'node:assert/strict'
import { ConntrackFlows, staleFlows, type Translations } from '../../../../agent/network/services/conntrack-flows.ts'

const LISTING = `udp      17 29 src=10.1.1.3 dst=10.96.0.10 sport=40001 dport=53 src=10.1.1.2 dst=10.1.1.3 sport=8080 dport=40001 mark=0 use=1
udp      17 29 src=10.1.1.3 dst=10.96.0.10 sport=40002 dport=53 [UNREPLIED] src=10.1.1.9 dst=10.1.1.3 sport=8080 dport=40002 mark=0 use=1
udp      17 29 src=10.1.1.3 dst=10.96.0.77 sport=40003 dport=53 [UNREPLIED] src=10.96.0.77 dst=10.1.1.3 sport=53 dport=40003 mark=0 use=1
udp      17 170 src=10.1.1.3 dst=9.9.9.9 sport=40004 dport=53 src=9.9.9.9 dst=192.168.77.1 sport=53 dport=40004 [ASSURED] mark=0 use=1
udp      17 29 src=192.168.77.2 dst=192.168.77.1 sport=40005 dport=30053 src=10.1.1.9 dst=192.168.77.2 sport=8080 dport=40005 mark=0 use=1
udp      17 29 src=192.168.77.2 dst=192.168.77.1 sport=40006 dport=123 src=192.168.77.1 dst=192.168.77.2 sport=123 dport=40006 mark=0 use=1
`

const TRANSLATIONS: Translations = {
  targetsOf: (_, __, address, port) =>
    address === '10.96.0.10' && port === 53 ? new Set(['10.1.1.2 . 8080']) : undefined,
  kindOf: (address) => (address.startsWith('10.96.') ? 'claimed' : address === '192.168.77.1' ? 'shared' : 'foreign'),
}

describe('stale flows', () => {
  it('are those whose target is another now, and those to what only a Service may be', () => {
    const ports = staleFlows(LISTING, 4, 'UDP', TRANSLATIONS).map((args) => args[args.indexOf('--orig-port-src') + 1])
    assert.deepEqual(ports, ['40002', '40003', '40005'])
    assert.deepEqual(staleFlows(LISTING, 4, 'UDP', TRANSLATIONS)[0], [
      '-D',
      '-f',
      'ipv4',
      '-p',
      'udp',
      '--orig-src',
      '10.1.1.3',
      '--orig-dst',
      '10.96.0.10',
      '--orig-port-src',
      '40002',
      '--orig-port-dst',
      '53',
    ])
  })

  it('are deleted once each; that there was none is no failure, anything else is', async () => {
    const calls: string[] = []
    const answer = (stderr: string): ConntrackFlows =>
      new ConntrackFlows((program, args, options) => {
        calls.push(`${program} ${args.join(' ')}`)
        if (options?.allow?.includes(1) !== true) return Promise.reject(new Error(stderr))
        return Promise.resolve({ code: 1, stdout: '', stderr })
      })
    const flow = {
      family: 4,
      protocol: 'UDP',
      address: '10.96.0.10',
      port: 53,
      target: { address: '10.1.1.2', port: 8080 },
    } as const
    await answer('conntrack v1.4.8 (conntrack-tools): 0 flow entries have been deleted.').remove([
      flow,
      flow,
      { ...flow, address: undefined, target: undefined },
    ])
    assert.deepEqual(calls, [
      'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --orig-dst 10.96.0.10 --reply-src 10.1.1.2 --reply-port-src 8080',
      'conntrack -D -f ipv4 -p udp --orig-port-dst 53',
    ])
    await assert.rejects(answer('Operation not permitted').remove([flow]), /not permitted/)
  })
})
