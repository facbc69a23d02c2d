/**
 * Runs of scenarios on a rig in memory: what is done, what is waited for, what is told when it does not come true, and
 * what is left.
 */
import assert from 'node:assert/strict'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { StepFailure } from '../../../../deploy/rig/scenario/result.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { deployment, pod } from '../../../cli/objects.ts'
import { until } from '../../../eventually.ts'
import { FakeRig, output, ScenarioFixture, statuses } from './fake-rig.ts'

const restarts = (count: number): Parameters<typeof pod>[1] => ({
  status: {
    phase: 'Running',
    podIP: '10.1.0.5',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [{ name: 'main', ready: true, restartCount: count, image: 'busybox', imageID: 'sha256:1' }],
  },
})

describe('running scenarios', () => {
  let rig: FakeRig
  let stage: ScenarioFixture

  beforeEach(async () => {
    rig = await FakeRig.open()
    stage = new ScenarioFixture(rig)
  })

  afterEach(async () => {
    await rig.dispose()
  })

  const failureAt = (number: string): StepFailure => stage.ended.find((step) => step.number === number)!.failure!
  const began = (number: string): Promise<void> => until(`step ${number} begins`, () => stage.began.includes(number))

  describe('steps', () => {
    it('go one after the other, and the rig goes at the end', async () => {
      const result = await stage.run(`
images: [./web.tar]
namespace: shop
steps:
  - apply: { apiVersion: v1, kind: ConfigMap, metadata: { name: settings } }
  - scale: { deployment/web: 5 }
  - rollout: { restart: deployment/web }
  - kill: n2
  - start: n2
`)
      assert.deepEqual(result.problems, [])
      assert.equal(result.status, 'passed')
      assert.deepEqual(rig.done, [
        'load /scenarios/web.tar',
        'apply Namespace/shop',
        'apply ConfigMap/settings in shop',
        'gantry -n shop scale deployment/web --replicas 5',
        'gantry -n shop rollout restart deployment/web',
        'kill n2',
        'start n2',
        'heal kill',
        'down',
      ])
    })

    it('end with the first that fails; the rest is told of as not run, and the logs are kept', async () => {
      rig.scripts.gantry = () => output('', 3, 'error: there is no such thing')
      const result = await stage.run(
        'steps:\n  - gantry: get nothing\n  - pause: 1h\n  - repeat: { times: 2, steps: [{ heal: }] }',
      )
      assert.equal(result.status, 'failed')
      assert.equal(statuses(result), '1 failed, 2 skipped, 3 skipped, 3.1 skipped')
      assert.deepEqual(failureAt('1'), {
        message: 'it is not so: `gantry get nothing` succeeds',
        expected: '`gantry get nothing` succeeds',
        seen: 'exit code 3: error: there is no such thing',
      })
      assert.equal(result.archive, '/logs/test')
      assert.deepEqual(rig.done, ['gantry -n default get nothing', 'logs', 'down'])
    })

    it('heal what they name, and what is left is healed at the end, the latest first', async () => {
      const result = await stage.run(
        'steps:\n  - partition: n1\n    name: first\n  - partition: n2\n  - stop: n3\n    for: 10s\n  - heal: first\n  - heal: stop\n  - kill: n1',
      )
      assert.equal(result.status, 'passed', result.problems.join())
      assert.deepEqual(rig.done, [
        'partition n1',
        'partition n2',
        'stop n3 for 10000',
        'heal partition',
        'heal stop',
        'kill n1',
        'heal kill',
        'heal partition',
        'down',
      ])
    })

    it('in a fault end it, also when they fail', async () => {
      rig.scripts.gantry = () => output('', 1, 'no')
      const result = await stage.run('steps:\n  - partition: n1\n    during:\n      - gantry: get pods\n  - heal:')
      assert.equal(statuses(result), '1 stopped, 1.1 failed, 2 skipped')
      assert.deepEqual(rig.done, ['partition n1', 'gantry -n default get pods', 'heal partition', 'logs', 'down'])
    })

    it('cannot stand in a fault that is over at once', async () => {
      const result = await stage.run('steps:\n  - kill: n1/agent\n    during: [{ pause: 1h }]')
      assert.equal(statuses(result), '1 failed, 1.1 skipped')
      assert.match(failureAt('1').message, /over at once.*"for"/)
    })

    it('repeat with the number of the round', async () => {
      const result = await stage.run(
        'steps:\n  - repeat:\n      times: 2\n      steps:\n        - gantry: create configmap a-$round\n        - repeat: { times: 2, steps: [{ gantry: get $round }] }',
      )
      assert.equal(
        statuses(result),
        '1 passed, 1.1/1 passed, 1.1/2 passed, 1.2/1 passed, 1.2/2 passed, 1.2.1/1.1 passed, 1.2.1/1.2 passed, 1.2.1/2.1 passed, 1.2.1/2.2 passed',
      )
      assert.deepEqual(rig.done.slice(0, 3), [
        'gantry -n default create configmap a-1',
        'gantry -n default get 1',
        'gantry -n default get 2',
      ])
    })

    it('run at once, and the first that fails stops the others', async () => {
      rig.scripts.n1 = () => output('', 1, 'broken')
      const result = await stage.run(
        'steps:\n  - parallel:\n      - pause: 1h\n      - [{ run: "false", on: n1 }, { pause: 1h }]\n      - until: { object: pod/none, exists: true }\n        within: 1h',
      )
      assert.equal(statuses(result), '1 stopped, 1.1 stopped, 1.2.1 failed, 1.2.2 skipped, 1.3 stopped')
    })

    it('may be many at once', async () => {
      const warnings: Error[] = []
      const warned = (warning: Error): void => void warnings.push(warning)
      process.on('warning', warned)
      await rig.server.put(pod('a'))
      const result = await stage.run(
        `steps:\n  - parallel: [${Array.from({ length: 25 }, () => '{ until: pod/a }, { until: [pod/a, node/n1], within: 1h }').join(', ')}, { apply: { apiVersion: v1, kind: Node, metadata: { name: n1 }, status: { conditions: [{ type: Ready, status: "True", lastHeartbeatTime: null }] } } }]`,
      )
      process.off('warning', warned)
      assert.equal(result.status, 'passed', JSON.stringify(result.steps.filter(({ status }) => status !== 'passed')))
      assert.deepEqual(
        warnings.map(({ message }) => message),
        [],
      )
    })

    it('are bounded in time', async () => {
      rig.scripts.n1 = () => new Promise(() => undefined)
      const result = await stage.run('steps:\n  - run: sleep 1000\n    on: n1\n    within: 20ms\n', { own: true })
      assert.equal(statuses(result), '1 failed')
      assert.match(failureAt('1').message, /not done within 20ms/)
    })

    it('let time pass by the clock that is handed in', async () => {
      const clock = new FakeClock()
      const running = stage.run('steps:\n  - pause: 10m', { clock })
      await until('the pause begins', () => clock.pending > 0)
      await clock.advance(600_000)
      assert.equal((await running).steps[0]?.millis, 600_000)
    })

    it('delete, and wait until it is gone', async () => {
      await rig.server.put(pod('slow', { metadata: { finalizers: ['example.com/hold'] } }))
      await rig.server.put(pod('quick'))
      const running = stage.run('steps:\n  - delete: { objects: pods, selector: app=web }\n  - gantry: get pods')
      await until('the one without a finalizer is gone', () => rig.server.get('Pod', 'quick') === undefined)
      assert.equal(stage.ended.length, 0)
      await rig.server.remove('Pod', 'slow')
      assert.equal((await running).status, 'passed')
    })

    it('patch objects', async () => {
      await rig.server.put(deployment('web'))
      const result = await stage.run(
        'steps:\n  - patch: { object: deployment/web, merge: { spec: { replicas: 7 } } }\n  - check: { object: deployment/web, path: .spec.replicas, is: 7 }',
      )
      assert.equal(result.status, 'passed', JSON.stringify(stage.ended))
    })
  })

  describe('until', () => {
    it('sees each change as it is told of', async () => {
      await rig.server.put(
        deployment('web', { status: { observedGeneration: 1, replicas: 3, updatedReplicas: 3, availableReplicas: 2 } }),
      )
      const running = stage.run('steps:\n  - until: deployment/web\n    within: 1h')
      await until('it watches', () => rig.server.watching > 0)
      await rig.server.put(deployment('web'))
      assert.equal((await running).status, 'passed')
      await until('nobody watches any more', () => rig.server.watching === 0)
    })

    it('tells what it saw last', async () => {
      await rig.server.put(pod('a', restarts(0)))
      await rig.server.put(pod('b', restarts(4)))
      await stage.run(
        'steps:\n  - until: { objects: pods, path: ".status.containerStatuses[*].restartCount", atLeast: 2, count: 2 }\n    within: 1s',
      )
      assert.deepEqual(failureAt('1'), {
        message: 'not within 1s: pods .status.containerStatuses[*].restartCount is at least 2, count is 2',
        expected: 'pods .status.containerStatuses[*].restartCount is at least 2, count is 2',
        seen: '2 of them; pod/a: .status.containerStatuses[*].restartCount is 0',
      })
    })

    it('waits for several to hold at the same time', async () => {
      let ready = false
      await rig.server.put(pod('a'))
      rig.scripts.n1 = () => output(ready ? 'yes\n' : 'no\n')
      const running = stage.run('steps:\n  - until: [pod/a, { run: [cat, /ready], on: n1, is: "yes", every: 5ms }]')
      await began('1')
      await until('it is asked', () => rig.server.watching > 0)
      ready = true
      assert.equal((await running).status, 'passed')
    })

    it('waits for a machine that is off', async () => {
      const running = stage.run('steps:\n  - until: { run: "true", on: n1, every: 5ms }')
      await began('1')
      rig.scripts.n1 = () => output('')
      assert.equal((await running).status, 'passed')
    })

    it('goes on when the control plane comes back', async () => {
      const list = rig.client.list.bind(rig.client)
      let away = true
      rig.client.list = (async (...args: Parameters<typeof list>) => {
        if (away) throw new GantryError('Unavailable', 'nobody is there')
        return list(...args)
      }) as typeof list
      const running = stage.run('steps:\n  - until: pod/a')
      await began('1')
      away = false
      await rig.server.put(pod('a'))
      assert.equal((await running).status, 'passed')
    })
  })

  describe('always', () => {
    const WATCHED = '{ objects: pods, path: ".status.containerStatuses[*].restartCount", is: 0 }'

    it('ends the steps after it when it is violated, and tells when', async () => {
      await rig.server.put(pod('a', restarts(0)))
      const running = stage.run(`steps:\n  - always: ${WATCHED}\n    name: no restarts\n  - pause: 1h\n  - heal:`)
      await began('2')
      await rig.server.put(pod('a', restarts(1)))
      const result = await running
      assert.equal(statuses(result), '1 failed, 2 stopped, 3 skipped')
      const { message, seen, at } = failureAt('1')
      assert.match(message, /^violated \S+ after it began: pods/)
      assert.equal(seen, 'pod/a: .status.containerStatuses[*].restartCount is 1')
      assert.ok(at! > 0)
    })

    it('holds from its beginning', async () => {
      await rig.server.put(pod('a', restarts(2)))
      const result = await stage.run(`steps:\n  - always: ${WATCHED}\n  - pause: 1h`)
      assert.equal(statuses(result), '1 failed, 2 skipped')
      assert.match(failureAt('1').message, /did not hold from the beginning/)
    })

    it('is over with the steps in it', async () => {
      await rig.server.put(pod('a', restarts(0)))
      rig.scripts.gantry = async () => {
        await rig.server.put(pod('a', restarts(1)))
        return output('')
      }
      const result = await stage.run(`steps:\n  - always: ${WATCHED}\n    during: [{ heal: }]\n  - gantry: get pods`)
      assert.equal(statuses(result), '1 passed, 1.1 passed, 2 passed')
      assert.match(stage.ended.find(({ number }) => number === '1')!.note!, /^held .*, 2 looks$/)
      await until('nobody watches any more', () => rig.server.watching === 0)
    })

    it('looks once more at the end', async () => {
      let calls = 0
      rig.scripts.n1 = () => output('', calls++ === 0 ? 0 : 1, 'gone wrong')
      const result = await stage.run('steps:\n  - always: { run: check, on: n1, every: 1h }\n  - heal:')
      assert.equal(statuses(result), '1 failed, 2 passed')
      assert.equal(failureAt('1').seen, 'exit code 1: gone wrong')
    })

    it('is not violated by a control plane that does not answer', async () => {
      await rig.server.put(pod('a', restarts(0)))
      const list = rig.client.list.bind(rig.client)
      const watch = rig.client.watch.bind(rig.client)
      let lists = 0
      rig.client.list = (async (...args: Parameters<typeof list>) => {
        if (++lists === 2) throw new GantryError('Unavailable', 'nobody is there')
        return list(...args)
      }) as typeof list
      rig.client.watch = async function* (...args: Parameters<typeof watch>) {
        if (lists < 2) throw new GantryError('Unavailable', 'cut')
        yield* watch(...args)
      } as typeof watch
      const running = stage.run(`steps:\n  - always: ${WATCHED}\n  - until: pod/b`)
      await until('it was listed again', () => rig.server.watching >= 1)
      await rig.server.put(pod('b', restarts(0)))
      assert.equal(statuses(await running), '1 passed, 2 passed')
    })

    it('tells what cannot be looked at', async () => {
      rig.scripts.n1 = () => Promise.reject(new GantryError('Internal', 'cannot start no-such-program'))
      const result = await stage.run('steps:\n  - always: { run: [no-such-program], on: n1 }\n  - pause: 1h')
      assert.equal(statuses(result), '1 failed, 2 skipped')
      assert.match(failureAt('1').message, /it could not be looked at: cannot start no-such-program/)
    })
  })

  describe('what is remembered', () => {
    it('is compared, each change by its name', async () => {
      await rig.server.put(pod('a', restarts(0)))
      await rig.server.put(pod('b', restarts(0)))
      rig.scripts.gantry = async () => {
        await rig.server.put(pod('a', restarts(1)))
        await rig.server.remove('Pod', 'b')
        await rig.server.put(pod('c', restarts(0)))
        return output('')
      }
      const result = await stage.run(`steps:
  - remember: { before: { objects: pods, path: ['.metadata.uid', '.status.containerStatuses[*].restartCount'] } }
  - check: { unchanged: before }
  - gantry: change things
  - check: { unchanged: before }`)
      assert.equal(statuses(result), '1 passed, 2 passed, 3 passed, 4 failed')
      assert.match(
        failureAt('4').seen!,
        /^pod\/a was \[\["([\da-f-]{36})"\],\[0\]\], is \[\["\1"\],\[1\]\]; pod\/b is gone; pod\/c is new$/,
      )
    })

    it('stands in texts by its name, and in shells as their variable', async () => {
      await rig.server.put(pod('a'))
      const asked: string[] = []
      rig.scripts.n1 = (words) => {
        asked.push(words.join(' '))
        return output("it's")
      }
      rig.leader = 'controller-2'
      const result = await stage.run(`steps:
  - remember: { ip: { object: pod/a, path: .status.podIP }, words: { run: [hostname], on: n1 }, old: $leader }
  - run: [ping, $ip, "$$5"]
    on: n1
  - run: ping $ip; echo "$words" $HOME
    on: n1
  - kill: $old/etcd
  - gantry: --server $followerAddresses --name $leaderAddress get $rig`)
      assert.equal(result.status, 'passed', JSON.stringify(stage.ended))
      assert.deepEqual(asked.slice(1), [
        'ping 10.1.0.5 $5',
        "sh -c ip='10.1.0.5'\nwords='it'\\''s'\nping $ip; echo \"$words\" $HOME",
      ])
      assert.ok(rig.done.includes('kill controller-2/etcd'))
      assert.ok(
        rig.done.includes('gantry -n default --server 10.87.0.2:7443,10.87.0.5:7443 --name 10.87.0.4:7443 get fake'),
        rig.done.join('\n'),
      )
    })

    it('must have been there to see', async () => {
      const result = await stage.run('steps:\n  - remember: { out: { run: [hostname], on: n1 } }')
      assert.equal(statuses(result), '1 failed')
      assert.match(failureAt('1').message, /n1 is off/)
    })
  })

  describe('ends', () => {
    it('an interrupt stops it, heals and removes, and keeps no logs', async () => {
      const running = stage.run('steps:\n  - kill: n1\n  - pause: 1h\n  - heal:')
      await began('2')
      stage.interrupt.abort(new GantryError('Cancelled', 'interrupted'))
      const result = await running
      assert.equal(result.status, 'interrupted')
      assert.equal(statuses(result), '1 passed, 2 stopped, 3 skipped')
      assert.deepEqual(rig.done, ['kill n1', 'heal kill', 'down'])
    })

    it('a rig that was there stays, without what was applied', async () => {
      const result = await stage.run(
        'steps:\n  - apply: { apiVersion: v1, kind: ConfigMap, metadata: { name: mine } }\n  - kill: n1',
        { own: false },
      )
      assert.equal(result.status, 'passed', result.problems.join())
      assert.deepEqual(rig.done, ['apply ConfigMap/mine in default', 'kill n1', 'heal kill', 'close'])
      assert.equal(rig.server.get('ConfigMap', 'mine'), undefined)
      assert.equal(result.upMillis, undefined)
    })

    it('keep leaves everything', async () => {
      await stage.run(
        'steps:\n  - apply: { apiVersion: v1, kind: ConfigMap, metadata: { name: mine } }\n  - kill: n1',
        { keep: true },
      )
      assert.deepEqual(rig.done, ['apply ConfigMap/mine in default', 'kill n1', 'close'])
      assert.notEqual(rig.server.get('ConfigMap', 'mine'), undefined)
    })

    it('what cannot be undone is told of', async () => {
      const fault = rig.fault.bind(rig)
      rig.fault = async (...args) => ({
        ...(await fault(...args)),
        heal: () => Promise.reject(new Error('it resists')),
      })
      rig.logs = () => Promise.reject(new GantryError('ResourceExhausted', 'the disk is full'))
      const result = await stage.run('steps:\n  - kill: n1\n  - check: pod/none')
      assert.equal(result.status, 'failed')
      assert.deepEqual(result.problems, [
        'the logs could not be kept: the disk is full',
        'kill: cannot be healed: it resists',
      ])
      assert.equal(rig.done.at(-1), 'down')
    })
  })
})
