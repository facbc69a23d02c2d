/** Containers as their specs say: isolation, limits, configuration, ends. */
import assert from 'node:assert/strict'
import { eventually } from '../eventually.ts'
import type { Cluster } from './cluster.ts'

export function containers(cluster: () => Cluster): void {
  describe('containers', () => {
    const apply = async (name: string, spec: object): Promise<void> => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name, labels: { suite: 'containers', team: 'blue' } },
          spec: { terminationGracePeriodSeconds: 1, ...spec },
        }),
      )
    }
    const phase = async (name: string, wanted: string): Promise<unknown> =>
      eventually(async () => (await cluster().value(`pod/${name}`, '.status.phase')) === wanted)
    const shell = (command: string, more: object = {}): object => ({
      name: 'c',
      image: 'busybox',
      command: ['sh', '-c', command],
      ...more,
    })
    /** What a pod that runs to its end prints. */
    const printed = async (name: string, spec: object): Promise<string> => {
      await apply(name, { restartPolicy: 'Never', ...spec })
      await phase(name, 'Succeeded')
      return cluster().ok(['logs', name])
    }

    after(async () => {
      await cluster().ok(['delete', 'pods', '-l', 'suite=containers', '--now'])
      await cluster().ok(['delete', 'configmap,secret', '-l', 'suite=containers'])
    })

    it('gives a process its environment, arguments, folder and user', async () => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'settings', labels: { suite: 'containers' } },
          data: { COLOR: 'green', 'app.conf': 'x=1\n' },
        }),
      )
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'keys', labels: { suite: 'containers' } },
          stringData: { token: 'hush' },
        }),
      )
      const output = await printed('configured', {
        securityContext: { runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000 },
        containers: [
          {
            name: 'c',
            image: 'busybox',
            workingDir: '/tmp',
            command: [
              'sh',
              '-c',
              'echo "$0 $1 $COLOR $TOKEN $WHO $LABEL $CPU"; pwd; id; cat /conf/app.conf /keys/token; stat -c %a /keys/..data/token',
            ],
            args: ['zero', '$(WHO)'],
            envFrom: [{ configMapRef: { name: 'settings' } }],
            resources: { limits: { cpu: '500m', memory: '32Mi' } },
            env: [
              { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
              { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['team']" } } },
              { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
            ],
            volumeMounts: [
              { name: 'conf', mountPath: '/conf' },
              { name: 'keys', mountPath: '/keys', readOnly: true },
            ],
          },
        ],
        volumes: [
          { name: 'conf', configMap: { name: 'settings' } },
          { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o440 } },
        ],
      })
      assert.deepEqual(output.split('\n').slice(0, 5), [
        'zero configured green hush configured blue 500',
        '/tmp',
        'uid=1000 gid=2000 groups=2000,3000',
        'x=1',
        'hush440',
      ])
    })

    it('isolates by default: capabilities, seccomp, masked paths', async () => {
      const output = await printed('isolated', {
        containers: [
          shell(
            'grep -E "^(CapEff|Seccomp):" /proc/self/status; cat /proc/kcore 2>/dev/null | wc -c; mount -t tmpfs x /mnt 2>&1; ls /proc | grep -c "^[0-9]"',
          ),
        ],
      })
      assert.match(output, /CapEff:\s+00000000a80425fb/)
      assert.match(output, /Seccomp:\s+2/)
      assert.match(output, /^0$/m)
      assert.match(output, /mount: .*(denied|permitted)/)
    })

    it('keeps to a read-only root and to what no new privileges allow', async () => {
      const output = await printed('strict', {
        containers: [
          shell('touch /x 2>&1; grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status', {
            securityContext: {
              readOnlyRootFilesystem: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
            },
          }),
        ],
      })
      assert.match(output, /Read-only file system/)
      assert.match(output, /NoNewPrivs:\s+1/)
      assert.match(output, /CapEff:\s+0000000000000000/)
    })

    it('shares an emptyDir among containers, and runs init containers first', async () => {
      await apply('shared', {
        restartPolicy: 'Never',
        volumes: [{ name: 'v', emptyDir: {} }],
        initContainers: [
          shell('echo one > /v/f', { name: 'first', volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
          shell('echo two >> /v/f', { name: 'second', volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
        ],
        containers: [shell('cat /v/f', { volumeMounts: [{ name: 'v', mountPath: '/v' }] })],
      })
      await phase('shared', 'Succeeded')
      assert.equal(await cluster().ok(['logs', 'shared', '-c', 'c']), 'one\ntwo\n')
    })

    it('names a process killed for its memory, with peak and limit', async () => {
      await apply('greedy', {
        restartPolicy: 'Never',
        containers: [
          shell('x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo done', {
            resources: { limits: { memory: '16Mi' } },
          }),
        ],
      })
      await phase('greedy', 'Failed')
      assert.equal(
        await cluster().value('pod/greedy', '.status.containerStatuses[0].state.terminated.reason'),
        'OOMKilled',
      )
      assert.equal(await cluster().value('pod/greedy', '.status.containerStatuses[0].state.terminated.exitCode'), '137')
      await eventually(async () => /OOM[\s\S]*16/.test(await cluster().ok(['events', '--for', 'pod/greedy'])))
    })

    it('limits processes and cpu', async () => {
      const output = await printed('limited', {
        containers: [
          shell(
            'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; cat /proc/self/cgroup',
            { resources: { limits: { cpu: '250m' } } },
          ),
        ],
      })
      assert.match(output, /n\d\/.*limited|pod/)
      assert.match(output, /\b25000\b/)
    })

    const ends: [string, string[], string, string][] = [
      ['a command that does not exist', ['/no/such/command'], '127', 'StartError|ContainerCannotRun'],
      ['a file that is not executable', ['/etc/passwd'], '126', 'StartError|ContainerCannotRun'],
      ['a process that fails', ['sh', '-c', 'exit 42'], '42', 'Error'],
    ]
    for (const [index, [what, command, exitCode, reason]] of ends.entries()) {
      it(`tells exactly how it ended: ${what}`, async () => {
        const name = `ends-${index}`
        await apply(name, { restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox', command }] })
        await phase(name, 'Failed')
        assert.equal(
          await cluster().value(`pod/${name}`, '.status.containerStatuses[0].state.terminated.exitCode'),
          exitCode,
        )
        assert.match(
          await cluster().value(`pod/${name}`, '.status.containerStatuses[0].state.terminated.reason'),
          new RegExp(`^(${reason})$`),
        )
      })
    }

    it('restarts with growing delays and keeps the log of the instance before', async () => {
      await apply('crash', { containers: [shell('echo run; exit 3')] })
      await eventually(
        async () => Number(await cluster().value('pod/crash', '.status.containerStatuses[0].restartCount')) >= 3,
        30_000,
      )
      await eventually(async () => /CrashLoopBackOff/.test(await cluster().ok(['get', 'pod', 'crash'])))
      assert.equal(await cluster().ok(['logs', 'crash', '--previous']), 'run\n')
      assert.equal(
        await cluster().value('pod/crash', '.status.containerStatuses[0].lastState.terminated.exitCode'),
        '3',
      )
      await cluster().ok(['delete', 'pod', 'crash', '--now'])
    })

    it('stops gracefully: SIGTERM, then the grace, then SIGKILL', async () => {
      await apply('polite', {
        terminationGracePeriodSeconds: 600,
        containers: [shell('trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.1; done')],
      })
      await apply('deaf', {
        terminationGracePeriodSeconds: 1,
        containers: [shell('trap "" TERM; while :; do sleep 0.1; done')],
      })
      await Promise.all(['polite', 'deaf'].map((name) => phase(name, 'Running')))
      // Waits until they are gone: the polite one long before its grace is over.
      await cluster().ok(['delete', 'pod', 'polite', 'deaf'])
    })

    it('waits for a ConfigMap that is missing and starts when it is there', async () => {
      await apply('early', { containers: [shell('sleep 1000', { envFrom: [{ configMapRef: { name: 'later' } }] })] })
      await eventually(async () => /CreateContainerConfigError/.test(await cluster().ok(['get', 'pod', 'early'])))
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'later', labels: { suite: 'containers' } },
          data: { A: '1' },
        }),
      )
      await phase('early', 'Running')
    })

    it('ends a pod that is over its deadline', async () => {
      await apply('late', { activeDeadlineSeconds: 1, restartPolicy: 'Never', containers: [shell('sleep 1000')] })
      await phase('late', 'Failed')
      assert.equal(await cluster().value('pod/late', '.status.reason'), 'DeadlineExceeded')
    })

    it("lets containers of a pod see each other's processes where it asks for it", async () => {
      await apply('together', {
        shareProcessNamespace: true,
        containers: [
          { name: 'a', image: 'busybox', command: ['sleep', '1234'] },
          { name: 'b', image: 'busybox', command: ['sleep', '1000'] },
        ],
      })
      await phase('together', 'Running')
      assert.match(await cluster().ok(['exec', 'together', '-c', 'b', '--', 'ps']), /sleep 1234/)
    })
  })
}
