/** Who may do what, what is served, and where: auth, explain, api-resources, version, cluster-info, config. */
import assert from 'node:assert/strict'
import type { Kubectl } from './kubectl.ts'

export function access(root: () => Kubectl): void {
  describe('auth, explain and discovery', () => {
    let kubectl: Kubectl
    const BOT = '--as=system:serviceaccount:access:bot'

    before(async () => {
      kubectl = await root().within('access')
      await kubectl.ok('create serviceaccount bot')
      await kubectl.ok('annotate serviceaccount bot gantry.dev/access=view')
    })
    after(() => kubectl.leave())

    it('tells who one is and what one may do', async () => {
      const [me, bot, all, may, secrets, list] = await Promise.all([
        kubectl.json<{ kind: string; status: { userInfo: { username: string; groups: string[] } } }>('auth whoami'),
        kubectl.ok(`auth whoami ${BOT}`),
        kubectl.ok('auth can-i delete nodes'),
        kubectl.ok(`auth can-i list pods ${BOT}`),
        kubectl.run(`auth can-i get secrets ${BOT}`),
        kubectl.ok(`auth can-i --list ${BOT}`),
      ])
      assert.deepEqual([me.kind, me.status.userInfo.groups.includes('system:masters')], ['SelfSubjectReview', true])
      assert.match(bot, /^Username +system:serviceaccount:access:bot$/m)
      assert.equal(all, 'yes\n')
      assert.equal(may, 'yes\n')
      assert.equal(secrets.code, 1)
      assert.match(secrets.stdout, /^no - /)
      assert.match(list, /^Resources +Non-Resource URLs +Resource Names +Verbs/)
      assert.match(
        await kubectl.refused(`get secrets ${BOT}`),
        /^Error from server \(Forbidden\): secrets is forbidden: User "system:serviceaccount:access:bot" cannot list resource "secrets" in API group "" in the namespace "access"/,
      )
      assert.match(await kubectl.refused(`create configmap x ${BOT}`), /\(Forbidden\)|forbidden/)
    })

    it('explains kinds and fields', async () => {
      const [kind, field, recursive, missing, unknown] = await Promise.all([
        kubectl.ok('explain deployments'),
        kubectl.ok('explain pod.spec.containers.livenessProbe.httpGet.port'),
        kubectl.ok('explain service.spec --recursive'),
        kubectl.refused('explain pod.spec.none'),
        kubectl.refused('explain crystals'),
      ])
      assert.match(kind, /^GROUP: +apps\nKIND: +Deployment\nVERSION: +v1\n\nDESCRIPTION:\n {4}\S/)
      assert.match(kind, /^ {2}spec\t<DeploymentSpec>( -required-)?$/m)
      assert.match(field, /^FIELD: port <IntOrString>/m)
      assert.match(recursive, /^ {2}ports\t<\[\]ServicePort>\n[^]*^ {4}targetPort\t<IntOrString>$/m)
      assert.match(missing, /field "none" does not exist/)
      assert.match(unknown, /the server doesn't have a resource type "crystals"/)
    })

    it('lists what is served', async () => {
      const [wide, names, namespaced, versions] = await Promise.all([
        kubectl.ok('api-resources -o wide'),
        kubectl.ok('api-resources --verbs=list,watch --namespaced=false -o name'),
        kubectl.ok('api-resources --api-group=apps --no-headers'),
        kubectl.ok('api-versions'),
      ])
      assert.match(wide, /^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND +VERBS +CATEGORIES\n/)
      assert.match(wide, /^pods +po +v1 +true +Pod +create,delete,deletecollection,get,list,patch,update,watch +all$/m)
      assert.match(names, /^nodes$/m)
      assert.doesNotMatch(names, /^pods$/m)
      assert.match(namespaced, /^deployments +deploy +apps\/v1 +true +Deployment$/m)
      assert.deepEqual(
        ['v1', 'apps/v1', 'coordination.k8s.io/v1'].filter((version) => !versions.split('\n').includes(version)),
        [],
      )
    })

    it('tells versions and addresses', async () => {
      const [version, info, view, ready] = await Promise.all([
        kubectl.json<{ serverVersion: { major: string; minor: string } }>('version'),
        kubectl.ok('cluster-info'),
        kubectl.ok('config view --minify'),
        kubectl.ok('get --raw /readyz'),
      ])
      const [, server] = /^ {4}server: (\S+)$/m.exec(view)!
      assert.equal(version.serverVersion.major, '1')
      assert.ok(info.replace(/\x1b\[[\d;]*m/g, '').startsWith(`Kubernetes control plane is running at ${server}\n`))
      assert.match(view, /certificate-authority-data: DATA\+OMITTED/)
      assert.equal(ready, 'ok')
      assert.equal(await kubectl.ok('config current-context'), `${kubectl.cluster.rig.context().name}\n`)
    })
  })
}
