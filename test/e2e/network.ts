/**
 * Pods reach each other across nodes by address, by Service and by name, only where policies and Networks let them; and
 * rollouts lose nothing.
 */
import assert from 'node:assert/strict'
import { eventually, until } from '../eventually.ts'
import type { Cluster } from './cluster.ts'
import { listening } from './probes.ts'

const LABELS = { suite: 'network' }

function pod(
  name: string,
  node: string,
  command: string,
  more: { labels?: object; annotations?: object; ports?: object[]; readinessProbe?: object; dnsConfig?: object } = {},
): string {
  const { labels, annotations, dnsConfig, ...container } = more
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { ...LABELS, ...labels }, annotations },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 0,
      dnsConfig,
      containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', command], ...container }],
    },
  })
}

const serve = (text: string): string => `mkdir /w; echo ${text} > /w/index.html; exec httpd -f -p 80 -h /w`

/** A pod that answers with a text on port 80, and is Ready when it does. */
function server(name: string, node: string, text: string, more: Parameters<typeof pod>[3] = {}): string {
  return pod(name, node, serve(text), { ...listening(80), ...more })
}

export function network(cluster: () => Cluster): void {
  describe('network', () => {
    const apply = (...objects: string[]): Promise<string> => cluster().ok(['apply', '-f', '-'], objects.join('\n---\n'))
    const ready = (...names: string[]): Promise<string> =>
      cluster().ok(['wait', '--for', 'condition=Ready', '--timeout', '60s', ...names.map((name) => `pod/${name}`)])
    /** What a pod gets at a URL; undefined if nothing. */
    async function get(from: string, url: string): Promise<string | undefined> {
      const { code, stdout } = await cluster().run(['exec', from, '--', 'wget', '-T', '3', '-q', '-O', '-', url])
      return code === 0 ? stdout.trim() : undefined
    }
    const address = (name: string): Promise<string> => cluster().value(`pod/${name}`, '.status.podIP')

    before(async () => {
      await apply(
        server('server', 'n1', 'one', { labels: { app: 'server' } }),
        server('server-2', 'n2', 'two', { labels: { app: 'server' } }),
        pod('client', 'n1', 'exec sleep 1000', { labels: { role: 'client' } }),
        pod('client-2', 'n2', 'exec sleep 1000'),
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'server', labels: LABELS },
          spec: {
            type: 'NodePort',
            selector: { app: 'server' },
            ports: [{ name: 'http', port: 8080, targetPort: 80 }],
          },
        }),
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'each', labels: LABELS },
          spec: { clusterIP: 'None', selector: { app: 'server' }, ports: [{ name: 'http', port: 80 }] },
        }),
      )
      await ready('server', 'server-2', 'client', 'client-2')
    })

    after(async () => {
      await cluster().ok(['delete', 'pods', '-l', 'suite=network', '--now'])
      await cluster().ok(['delete', 'services,networkpolicies,networks,deployments', '-l', 'suite=network'])
    })

    it('joins pods of one node and of several', async () => {
      for (const from of ['client', 'client-2']) {
        for (const [name, text] of [
          ['server', 'one'],
          ['server-2', 'two'],
        ] as const)
          assert.equal(await get(from, `http://${await address(name)}/`), text, `${from} to ${name}`)
      }
    })

    it("lets a pod reach out through its node, with the node's address", async () => {
      assert.match(
        await cluster().ok(['exec', 'client', '--', 'wget', '-q', '-S', '-O', '-', `http://${cluster().registry}/v2/`]),
        /\{\}/,
      )
    })

    it('keeps processes, host names and interfaces of pods apart', async () => {
      assert.equal(await cluster().ok(['exec', 'client', '--', 'hostname']), 'client\n')
      assert.doesNotMatch(await cluster().ok(['exec', 'client', '--', 'ps']), /httpd/)
      assert.notEqual(
        await cluster().ok(['exec', 'client', '--', 'readlink', '/proc/self/ns/net']),
        await cluster().ok(['exec', 'server', '--', 'readlink', '/proc/self/ns/net']),
      )
    })

    it("leads a Service's name to its pods on every node, from pods, nodes and outside", async () => {
      for (const from of ['client', 'client-2']) {
        const seen = new Set<string | undefined>()
        await until(
          `${from} is served by both`,
          async () => seen.add(await get(from, 'http://server:8080/')).has('one') && seen.has('two'),
        )
        assert.ok(!seen.has(undefined))
      }
      const port = await cluster().value('service/server', '.spec.ports[0].nodePort')
      for (const node of ['n1', 'n2', 'n3']) {
        const response = await fetch(`http://${cluster().rig.machine(node).address}:${port}/`, {
          signal: AbortSignal.timeout(5_000),
        })
        assert.match(await response.text(), /one|two/)
      }
    })

    it('names every pod of a headless Service, and says no at once to what there is not', async () => {
      const listed = await cluster().ok([
        'exec',
        'client',
        '--',
        'nslookup',
        '-type=a',
        'each.default.svc.cluster.local',
      ])
      for (const name of ['server', 'server-2'])
        assert.match(listed, new RegExp(`${(await address(name)).replaceAll('.', '\\.')}\\b`))
      const { stdout, stderr } = await cluster().run([
        'exec',
        'client',
        '--',
        'nslookup',
        '-type=a',
        'nobody.default.svc.cluster.local',
      ])
      assert.match(stdout + stderr, /NXDOMAIN/)
    })

    it('takes a pod that is not ready out of its Service, and puts it back', async () => {
      await apply(
        pod('server-3', 'n3', `touch /ok; ${serve('three')}`, {
          labels: { app: 'server' },
          readinessProbe: { exec: { command: ['test', '-e', '/ok'] }, periodSeconds: 1, failureThreshold: 1 },
        }),
      )
      await ready('server-3')
      const listed = async (): Promise<string> =>
        cluster().ok([
          'get',
          'endpointslices',
          '-l',
          'kubernetes.io/service-name=server',
          '-o',
          'jsonpath={range .items[*].endpoints[*]}{.targetRef.name}={.conditions.ready} {end}',
        ])
      await eventually(async () => /server-3=true/.test(await listed()))
      await cluster().ok(['exec', 'server-3', '--', 'rm', '/ok'])
      await eventually(async () => /server-3=false/.test(await listed()))
      // The client's node follows the slice a moment after it says so.
      await eventually(async () => {
        for (let times = 0; times < 6; times++) assert.notEqual(await get('client', 'http://server:8080/'), 'three')
      })
      await cluster().ok(['exec', 'server-3', '--', 'touch', '/ok'])
      await eventually(async () => /server-3=true/.test(await listed()))
      await cluster().ok(['delete', 'pod', 'server-3', '--now'])
    })

    it('gives a port of the node to a pod that asks for it', async () => {
      await apply(server('public', 'n3', 'public', { ports: [{ containerPort: 80, hostPort: 18080 }] }))
      await ready('public')
      const response = await fetch(`http://${cluster().rig.machine('n3').address}:18080/`, {
        signal: AbortSignal.timeout(5_000),
      })
      assert.equal((await response.text()).trim(), 'public')
      assert.equal(await get('client', `http://${cluster().rig.machine('n3').address}:18080/`), 'public')
      await cluster().ok(['delete', 'pod', 'public', '--now'])
    })

    it('holds a policy on the node of the pod, whoever asks from where', async () => {
      await apply(
        JSON.stringify({
          apiVersion: 'networking.k8s.io/v1',
          kind: 'NetworkPolicy',
          metadata: { name: 'only-clients', labels: LABELS },
          spec: {
            podSelector: { matchLabels: { app: 'server' } },
            ingress: [{ from: [{ podSelector: { matchLabels: { role: 'client' } } }], ports: [{ port: 80 }] }],
          },
        }),
      )
      for (const name of ['server', 'server-2']) {
        const url = `http://${await address(name)}/`
        await until(`client-2 is kept from ${name}`, async () => (await get('client-2', url)) === undefined)
        assert.notEqual(await get('client', url), undefined)
      }
      assert.equal(await get('client-2', 'http://server:8080/'), undefined)
      await cluster().ok(['delete', 'networkpolicy', 'only-clients'])
      await until(
        'client-2 is let in again',
        async () => (await get('client-2', `http://${await address('server')}/`)) === 'one',
      )
    })

    it('joins pods on a Network of their own across nodes, and nobody else', async () => {
      await apply(
        JSON.stringify({
          apiVersion: 'gantry.dev/v1',
          kind: 'Network',
          metadata: { name: 'back', labels: LABELS },
          spec: { cidrs: ['10.50.0.0/16'] },
        }),
        server('back-1', 'n1', 'back', { annotations: { 'gantry.dev/networks': 'back=eth1' } }),
        pod('back-2', 'n2', 'exec sleep 1000', {
          annotations: { 'gantry.dev/networks': 'back', 'gantry.dev/cluster-network': 'none' },
        }),
      )
      await ready('back-1', 'back-2')
      const inside = await cluster().value('pod/back-1', '.status.interfaces[0].addresses[0]')
      assert.match(inside, /^10\.50\.0\.\d+$/)
      await until('they reach each other', async () => (await get('back-2', `http://${inside}/`)) === 'back')
      assert.equal(await cluster().value('pod/back-2', '.status.podIP'), '')
      assert.equal(await get('back-2', `http://${await address('server')}/`), undefined)
      assert.equal(await get('client', `http://${inside}/`), undefined)
      assert.match(
        await cluster().ok(['get', 'networks', 'back', '--no-headers']),
        /^back\s+10\.50\.0\.0\/16\s+2\s+True/,
      )
      await cluster().ok(['delete', 'pod', 'back-1', 'back-2', '--now'])
      await cluster().ok(['delete', 'network', 'back', '--wait'])
    })

    it('proves itself', async () => {
      const { code, stdout, stderr } = await cluster().run(['net', 'check'])
      assert.equal(code, 0, stdout + stderr)
    })

    it('loses no request while a Deployment is rolled out, and while agents are killed', async () => {
      const server = 'trap "exit 0" TERM; mkdir /w; echo served > /w/index.html; httpd -f -p 8080 -h /w & wait'
      const probe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 }
      await apply(
        JSON.stringify({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'rolling', labels: LABELS },
          spec: {
            replicas: 4,
            selector: { matchLabels: { app: 'rolling' } },
            template: {
              metadata: { labels: { app: 'rolling', ...LABELS } },
              spec: {
                containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', server], readinessProbe: probe }],
              },
            },
          },
        }),
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'rolling', labels: LABELS },
          spec: { selector: { app: 'rolling' }, ports: [{ port: 80, targetPort: 8080 }] },
        }),
      )
      await cluster().ok(['rollout', 'status', 'deploy/rolling', '--timeout', '60s'])
      const loop =
        'ok=0; bad=0; while [ ! -e /stop ]; do if wget -T 5 -q -O /dev/null http://rolling/ 2>/tmp/e; then ok=$((ok+1)); else bad=$((bad+1)); cat /tmp/e; fi; done; echo "ok=$ok bad=$bad"; exec sleep 1000'
      // Names are answered by the agent: whoever asks while it is killed waits until it is back, which takes a busy
      // machine longer than the ten seconds that resolvers have by default.
      const dnsConfig = {
        options: [
          { name: 'timeout', value: '10' },
          { name: 'attempts', value: '5' },
        ],
      }
      await apply(...['n1', 'n2'].map((node) => pod(`load-${node}`, node, loop, { dnsConfig })))
      await ready('load-n1', 'load-n2')
      await cluster().ok(['rollout', 'restart', 'deploy/rolling'])
      await cluster().ok(['rollout', 'status', 'deploy/rolling', '--timeout', '90s'])
      for (const process of cluster().processes('n2', 'gantry-agent.cjs'))
        globalThis.process.kill(process.pid, 'SIGKILL')
      await until(
        'the agent of n2 is killed and back',
        async () =>
          cluster().processes('n2', 'gantry-agent.cjs').length > 0 &&
          (await cluster().value('node/n2', '.status.conditions[?(@.type=="Ready")].status')) === 'True',
      )
      await cluster().ok(['rollout', 'restart', 'deploy/rolling'])
      await cluster().ok(['rollout', 'status', 'deploy/rolling', '--timeout', '90s'])
      for (const node of ['n1', 'n2']) {
        await until(
          'exec is answered again',
          async () => (await cluster().run(['exec', `load-${node}`, '--', 'touch', '/stop'])).code === 0,
        )
        const told = await eventually(
          async () => /ok=(\d+) bad=(\d+)/.exec(await cluster().ok(['logs', `load-${node}`])) ?? false,
        )
        assert.equal(told[2], '0', await cluster().ok(['logs', `load-${node}`]))
        assert.ok(Number(told[1]) > 20, told[0])
      }
    })
  })
}
