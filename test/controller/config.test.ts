import assert from 'node:assert/strict'
import { checkConfig, CONTROLLER_SETTINGS, type ControllerConfig } from '../../controller/config.ts'
import { parseConfig } from '../../proto/api/config-file.ts'
import type { GantryError } from '../../proto/api/errors.ts'

function config(podCidr: string, serviceCidr: string): ControllerConfig {
  return parseConfig(JSON.stringify({ tls: { ca: 'a', cert: 'b', key: 'c' }, podCidr, serviceCidr }), 'test', CONTROLLER_SETTINGS)
}

describe("ranges of the cluster's addresses", () => {
  for (const [pods, services] of [['10.244.0.0/16', '10.96.0.0/16'], ['10.244.0.0/16,fd00:10:244::/48', '10.96.0.0/16'], ['fd00:10:244::/48', 'fd00:10:96::/112'], ['10.244.0.0/16, fd00:10:244::/48', '10.96.0.0/16, fd00:10:96::/112']] as const) {
    it(`may be ${pods} for pods and ${services} for Services`, () => assert.doesNotThrow(() => checkConfig(config(pods, services))))
  }

  for (const [what, pods, services, message] of [
    ['that overlap', '10.0.0.0/8', '10.96.0.0/16', /^serviceCidr: 10\.96\.0\.0\/16 overlaps with podCidr 10\.0\.0\.0\/8$/],
    ['of a family that pods have none of', '10.244.0.0/16', '10.96.0.0/16,fd00:10:96::/112', /^serviceCidr: fd00:10:96::\/112 is IPv6, and podCidr 10\.244\.0\.0\/16 has no such range/],
    ['of Services that do not begin at their first address', '10.244.0.0/16', '10.96.0.1/16', /serviceCidr must be a range of a \/8 to \/29/],
    ['of Services that are too large', 'fd00:10:244::/48', 'fd00:10:96::/64', /serviceCidr must be a range/],
    ['of one family twice', '10.244.0.0/16,10.245.0.0/16', '10.96.0.0/16', /podCidr must be a range of a \/24 or larger/],
  ] as const) it(`are refused ${what}`, () => assert.throws(() => checkConfig(config(pods, services)), (error: GantryError) => error.code === 'InvalidArgument' && message.test(error.message) || assert.fail(error.message)))
})
