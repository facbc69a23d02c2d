import assert from 'node:assert/strict'
import { parseSurvey } from '../../../deploy/rig/status.ts'
import { stateOf } from '../../../deploy/rig/summary.ts'

const SURVEY = `1000
1 50000 400 /bin/sh /x/machine-init controller /run/hold /usr/bin/node /opt/dist/gantry-controller.cjs --config /c.yaml
8 60000 61000 /usr/bin/node /opt/dist/gantry-controller.cjs --config /c.yaml
19 70050 20000 /usr/bin/etcd --name=c
20 70050 10000 nats-server --config /n.conf
77 99000  sh -c ps gantry-controller.cjs --config
nonsense
`

describe('the survey of a machine', () => {
  it('finds the programs of its role, their age, and the memory of all', () => {
    assert.deepEqual(parseSurvey(SURVEY, 'controller'), {
      memoryBytes: (400 + 61000 + 20000 + 10000) * 1024,
      programs: [
        { name: 'controller', pid: 8, upSeconds: 400 },
        { name: 'etcd', pid: 19, upSeconds: 300 },
        { name: 'nats', pid: 20, upSeconds: 300 },
      ],
    })
    assert.deepEqual(parseSurvey(SURVEY, 'node').programs, [])
  })

  it('knows an agent started through another program', () => {
    assert.deepEqual(parseSurvey('10\n5 100 1 /usr/bin/node /d/gantry-agent.cjs --config /c\n', 'node').programs, [
      { name: 'agent', pid: 5, upSeconds: 9 },
    ])
  })
})

describe('the state of a rig', () => {
  it('is that of its machines', () => {
    assert.equal(stateOf(['running', 'frozen']), 'running')
    assert.equal(stateOf(['running', 'off']), 'partly off')
    assert.equal(stateOf(['off', 'off']), 'off')
  })
})
