/**
 * The network while parts of the cluster fail: a client on a node that stays asks on and on, by name and by new
 * connections, beside a connection that lasts and one that a policy must refuse. It notes when each question began, so
 * that a fault's harm can be told from what is allowed.
 */
import assert from 'node:assert/strict'
import { uptime } from 'node:os'
import { eventually, until } from '../eventually.ts'
import { Cluster } from './cluster.ts'

/** Both families, and the overlay although the nodes share a link: what no other end-to-end test has. */
const SETTINGS = {
  controller: { podCidr: '10.244.0.0/16,fd00:10:244::/48', serviceCidr: '10.96.0.0/16,fd00:10:96::/112' },
  agent: { network: { overlay: 'vxlan' } },
}
/**
 * Milliseconds after which nothing is sent to a node that is silent: suspect after 3 s, told to every node at once. A
 * slow machine takes longer to notice.
 */
const LAST_FAILURE = 5_000
/** The client's own patience, in seconds. */
const PATIENCE = 2

/** A question: when it was asked, in milliseconds since the machine started, and whether it ended as it must. */
interface Asked {
  readonly at: number
  readonly what: 'http' | 'http6' | 'name' | 'refused' | 'stream'
  readonly ok: boolean
}

function pod(
  name: string,
  node: string,
  command: string,
  more: { labels?: object; grace?: number; container?: object } = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name, ...more.labels } },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: more.grace ?? 0,
      containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', command], ...more.container }],
    },
  }
}

function service(name: string, port: number, more: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port }], ipFamilyPolicy: 'PreferDualStack', ...more },
  }
}

const SERVE = 'mkdir /w; echo served > /w/index.html; exec httpd -f -p 80 -h /w'
/** What a policy closes; takes its time to end. */
const CLOSED = pod('closed', 'n3', `trap : TERM; (${SERVE.replace('exec ', '')}) & while :; do sleep 1; done`, {
  grace: 3,
})
/** Each loop asks some ten times a second. `$1`: what; the rest: the question, whose end tells. */
const CLIENT = `
now() { read up rest < /proc/uptime; echo "$up"; }
ask() { what=$1; shift; while :; do at=$(now); if "$@" > /dev/null 2>&1; then echo "asked $at $what ok"; else echo "asked $at $what bad"; fi; sleep 0.1; done; }
refused() { ! nc -w 1 closed 80 < /dev/null; }
ask http wget -T ${PATIENCE} -q -O - http://web/ &
ask http6 wget -T ${PATIENCE} -q -O - "http://[$WEB6]/" &
ask name nslookup -type=a web.default.svc.cluster.local &
ask refused refused &
nc lasting 7000 | while read line; do echo "asked $(now) stream ok"; done
echo "asked $(now) stream bad"
wait
`

describe('the network under faults', function () {
  this.timeout(60_000)
  let cluster: Cluster

  const now = (): number => uptime() * 1000
  const apply = (...objects: object[]): Promise<string> =>
    cluster.ok(['apply', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'))
  const ready = (...names: string[]): Promise<unknown> =>
    Promise.all(names.map((name) => cluster.rig.until(`pod/${name}`, 'Ready')))
  const slice = (): Promise<string> =>
    cluster.ok([
      'get',
      'endpointslices',
      '-l',
      'kubernetes.io/service-name=web',
      '-o',
      'jsonpath={range .items[*].endpoints[*]}{.nodeName}={.conditions.ready} {end}',
    ])

  async function asked(since: number): Promise<Asked[]> {
    const log = await cluster.ok(['logs', 'client'])
    return [...log.matchAll(/^asked (\S+) (\S+) (ok|bad)$/gm)]
      .map(([, at, what, end]) => ({ at: Number(at) * 1000, what: what as Asked['what'], ok: end === 'ok' }))
      .filter(({ at }) => at >= since)
  }

  const failed = (all: readonly Asked[]): string[] =>
    all.filter(({ ok }) => !ok).map(({ at, what }) => `${what} at ${at}`)

  /** Everything has been asked again `times` times after `from`, and has ended. */
  async function askedOn(from: number, times = 5): Promise<Asked[]> {
    return eventually(async () => {
      const all = await asked(from)
      return (
        (['http', 'http6', 'name', 'refused', 'stream'] as const).every(
          (what) => all.filter((one) => one.what === what).length >= (what === 'refused' ? 2 : times),
        ) && all
      )
    }, 30_000)
  }

  before(async () => {
    cluster = await Cluster.start('network-faults', 3, { settings: SETTINGS })
    await apply(
      ...['n1', 'n2', 'n3'].map((node) =>
        pod(`web-${node}`, node, SERVE, {
          labels: { app: 'web' },
          container: { readinessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1 } },
        }),
      ),
      service('web', 80),
      service('lasting', 7000),
      service('closed', 80),
      // Sends a line now and then, whoever listens.
      pod('lasting', 'n3', 'exec nc -ll -p 7000 -e sh -c "while echo line; do sleep 0.2; done"', {
        // The client connects once, and so it must listen by then; it is asked no more than it takes to know that.
        container: { startupProbe: { tcpSocket: { port: 7000 }, periodSeconds: 1 } },
      }),
      CLOSED,
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'closed' },
        spec: { podSelector: { matchLabels: { app: 'closed' } }, policyTypes: ['Ingress'], ingress: [] },
      },
    )
    await ready('web-n1', 'web-n2', 'web-n3', 'lasting', 'closed')
    await apply(
      pod('client', 'n1', CLIENT, {
        container: { env: [{ name: 'WEB6', value: await cluster.value('service/web', '.spec.clusterIPs[1]') }] },
      }),
    )
    await ready('client')
    await eventually(
      async () => /n1=true.*n1=true|n1=true/.test(await slice()) && (await slice()).match(/=true/g)?.length === 6,
    )
  })

  after(async () => {
    await cluster?.stop()
  })

  it('carries both families over the overlay, and lets nothing through that is refused', async () => {
    const begun = now()
    assert.deepEqual(failed(await askedOn(begun, 10)), [])
    assert.match((await cluster.rig.node('n1').run(['ip', 'route'])).stdout, /^10\.244\.\d+\.0\/24 .*dev gantryvx/m)
  })

  it('sends nothing new to a node that is not heard from, leaves its connections alone, and takes it back', async () => {
    const begun = now()
    await cluster.rig.node('n3').program('agent').stop()
    await cluster.rig.until('node/n3', 'Ready=Unknown')
    await until('the endpoint of n3 is withdrawn', async () => /n3=false/.test(await slice()))
    await cluster.rig.node('n3').program('agent').cont()
    await cluster.rig.until('node/n3', 'Ready')
    await until('it is back', async () => /n3=true/.test(await slice()))
    assert.deepEqual(failed(await askedOn(now())), [])
    assert.deepEqual(failed(await asked(begun)), [])
  })

  it('goes on without a control plane: what runs is reached by name, what is refused stays so, what ends is begun anew', async () => {
    const begun = now()
    const address = await cluster.value('pod/web-n2', '.status.podIP')
    await cluster.rig.controller().kill()
    // The first is the server, before any that it has made for a connection.
    const before = cluster.processes('n2', 'httpd -f')
    assert.notEqual(before.length, 0)
    // Its node alone sees that; its agent is begun anew as well.
    await cluster.rig.node('n2').program('agent').kill()
    process.kill(before[0]!.pid, 'SIGKILL')
    const node = cluster.rig.node('n2')
    await until(
      'the container is begun again',
      async () =>
        cluster.processes('n2', 'httpd -f').every(({ pid }) => pid !== before[0]!.pid) &&
        (await node.run(['curl', '-sf', '--max-time', '1', `http://${address}/`])).stdout === 'served\n',
    )
    const since = now()
    await cluster.rig.controller().start()
    await Promise.all(['n1', 'n2', 'n3'].map((node) => cluster.rig.until(`node/${node}`, 'Ready')))
    const all = await askedOn(since)
    // Between the end of the container and its next beginning one in three connections may have found nobody.
    assert.deepEqual(failed(all), [])
    assert.deepEqual(failed((await asked(begun)).filter(({ what }) => what !== 'http' && what !== 'http6')), [])
  })

  it('keeps a pod to its policies to its end, also one that was deleted while its node was not heard from', async () => {
    const begun = now()
    const cut = await cluster.rig.partition(['n3'], ['controller'])
    await cluster.rig.until('pod/closed', (object) => object.metadata.deletionTimestamp !== undefined)
    await cut.heal()
    await cluster.rig.until('node/n3', 'Ready')
    await cluster.rig.until('pod/closed', 'Deleted')
    // By force: it is gone for the control plane before the node has ended it.
    await apply(CLOSED)
    await ready('closed')
    await cluster.ok(['delete', 'pod', 'closed', '--force'])
    await until('its processes have ended', () => cluster.processes('n3', 'httpd -f').length === 0)
    assert.deepEqual(failed((await asked(begun)).filter(({ what }) => what === 'refused')), [])
  })

  it('loses what was sent to a node without power, and nothing more once it is suspect', async () => {
    await apply(
      pod('web-again', 'n3', SERVE, {
        labels: { app: 'web' },
        container: { readinessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1 } },
      }),
    )
    await ready('web-again')
    await until('it takes connections', async () => (await slice()).match(/n3=true/g)?.length === 2)
    const off = now()
    await cluster.rig.node('n3').powerOff()
    await cluster.rig.until('node/n3', 'Ready=Unknown')
    await until('its endpoint is withdrawn', async () => !/n3=true/.test(await slice()))
    const all = (
      await eventually(async () => {
        const answers = await asked(off)
        return answers.filter(({ at, what }) => what === 'http' && at > off + LAST_FAILURE).length >= 10 && answers
      }, 30_000)
    ).filter(({ what }) => what === 'http' || what === 'http6' || what === 'name')
    assert.deepEqual(failed(all.filter(({ at, what }) => at > off + LAST_FAILURE || what === 'name')), [])
    await cluster.rig.node('n3').start()
    await cluster.rig.until('node/n3', 'Ready')
  })

  it('says what is broken, and where', async () => {
    const check = async (): Promise<string> => {
      const { code, stdout, stderr } = await cluster.run(['net', 'check'])
      return code === 0 ? 'fine' : stdout + stderr
    }
    await until('all is well', async () => (await check()) === 'fine')
    const node = cluster.rig.node('n1')
    const range = await cluster.value('node/n2', '.spec.podCIDR')
    // The agent makes again what is gone within seconds, perhaps before the check has looked: it is broken anew for
    // each look.
    const broken = (by: string, told: RegExp): Promise<unknown> =>
      until(
        `the check tells of what ${by} breaks`,
        async () => {
          await node.run(['sh', '-c', `${by} || true`])
          return told.test(await check())
        },
        60_000,
      )
    await broken(`ip route del ${range} 2>/dev/null`, /n1 → pod network of n2 .*TCP: no answer/)
    await broken(
      'ip addr del 169.254.20.10/32 dev gantrydns0 2>/dev/null',
      /pods of n1: name .* the resolver does not answer; look at the resolver of n1/,
    )
    await broken('nft destroy table inet gantry_services', /tables of nftables on n1: inet gantry_services is gone/)
    // The agent's next beginning puts it right.
    await node.program('agent').kill()
    await until('all is well again', async () => (await check()) === 'fine', 30_000)
  })

  it('makes again what a firewall that is started anew has flushed', async () => {
    const node = cluster.rig.node('n2')
    const tables = async (): Promise<string[]> =>
      (await node.run(['nft', 'list', 'tables'])).stdout.match(/gantry_\w+/g) ?? []
    const before = await tables()
    assert.ok(before.includes('gantry_services') && before.includes('gantry_guard'))
    const agent = cluster.processes('n2', 'gantry-agent.cjs')
    await node.run(['nft', 'delete', 'table', 'inet', 'gantry_services'])
    await until('the table of Services is back', async () => (await tables()).length === before.length)
    assert.deepEqual(
      cluster.processes('n2', 'gantry-agent.cjs').map(({ pid }) => pid),
      agent.map(({ pid }) => pid),
    )
    await node.run(['nft', 'flush', 'ruleset'])
    await until('all tables are back', async () => (await tables()).length === before.length)
    await until('the node is well', async () => (await cluster.run(['net', 'check'])).code === 0, 30_000)
  })
})
