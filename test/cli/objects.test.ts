import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { decodeJson } from '../../proto/codec/codec.ts'
import type { ConfigMap, Deployment } from '../../proto/gen/types.ts'
import { Console } from './console.ts'
import { deployment, event, pod } from './objects.ts'

describe('commands for objects', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  describe('gantry delete', () => {
    it('deletes by name, selector, file and all', async () => {
      for (const name of ['a', 'b', 'c', 'd']) await console.server.put(pod(name, { labels: { app: name } }))
      assert.deepEqual(await console.run('delete pod a'), { exit: 0, stdout: 'pod "a" deleted\n', stderr: '' })
      assert.equal((await console.run('delete pods -l app=b -o name')).stdout, 'pod/b\n')
      await console.file(
        'c.yaml',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: c}\nspec: {containers: [{name: main, image: a}]}\n',
      )
      assert.equal((await console.run('delete -f c.yaml')).stdout, 'pod "c" deleted\n')
      assert.equal((await console.run('delete pods --all')).stdout, 'pod "d" deleted\n')
      assert.equal((await console.run('delete pods --all')).stdout, 'No resources found\n')
    })

    it('hands on grace and cascade', async () => {
      for (const name of ['a', 'b', 'c']) await console.server.put(pod(name))
      await console.server.put(deployment('web'))
      await console.run('delete pod a --now')
      const forced = await console.run('delete pod b --force --grace-period=0')
      assert.equal(forced.stdout, 'pod "b" force deleted\n')
      assert.match(forced.stderr, /^warning: forced/)
      await console.run('delete pod c --grace-period=0')
      // It goes when the garbage collector has let go of what it owns; none runs here.
      await console.run('delete deploy web --cascade=orphan --wait=false')
      assert.deepEqual(
        console.server.calls.filter((call) => call.startsWith('delete')),
        ['delete Pod a grace 1', 'delete Pod b grace 0', 'delete Pod c grace 1', 'delete Deployment web ORPHAN'],
      )
    })

    it('waits until an object is gone', async () => {
      await console.server.put(pod('a', { metadata: { finalizers: ['example.com/hold'] } }))
      const running = console.start(['delete', 'pod', 'a'])
      await running.until((text) => text.includes('deleted'))
      await console.server.remove('Pod', 'a')
      assert.equal((await running.result).exit, 0)
    })

    it('says what a deletion still waits for', async () => {
      console.server.lingering.add('a')
      await console.server.put(pod('a', { metadata: { finalizers: ['example.com/hold'] } }))
      const { exit, stderr } = await console.run('delete pod a --timeout 1s')
      assert.equal(exit, 4)
      assert.equal(
        stderr,
        'error: not gone after 1s: pod/a waits for its grace ends in 30s and finalizers example.com/hold\n',
      )
      assert.equal((await console.run('delete pod a --wait=false')).exit, 0)
      await console.server.put({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'shop' },
        spec: { finalizers: ['kubernetes'] },
      })
      assert.equal(
        (await console.run('delete ns shop --timeout 1s')).stderr,
        'error: not gone after 1s: namespace/shop waits for all that is in it to be gone (`gantry get all -n shop` lists what runs there)\n',
      )
    })

    it('tells what does not exist', async () => {
      await console.server.put(pod('a'))
      assert.deepEqual(await console.run('delete pod a nope'), {
        exit: 3,
        stdout: 'pod "a" deleted\n',
        stderr: 'error: pods "nope" not found in namespace default; `gantry get pods -A` lists all\n',
      })
      assert.equal((await console.run('delete pod nope --ignore-not-found')).exit, 0)
      assert.equal(
        (await console.run('delete pods')).stderr,
        'error: which pods? Name them, or select them with -l, --field-selector or --all\n',
      )
      await console.server.put(pod('b'))
      assert.equal((await console.run('delete pod b --dry-run=client')).stdout, 'pod "b" deleted (dry run)\n')
      assert.equal((await console.run('delete pod b --dry-run=server')).stdout, 'pod "b" deleted (server dry run)\n')
      assert.notEqual(console.server.get('Pod', 'b'), undefined)
    })
  })

  describe('gantry wait', () => {
    it('waits for a condition, a value and the end', async () => {
      await console.server.put(pod('a', { status: { phase: 'Pending' } }))
      const ready = console.start(['wait', '--for=condition=Ready', 'pod/a'])
      const running = console.start(['wait', '--for=jsonpath={.status.phase}=Running', 'pod', 'a'])
      const gone = console.start(['wait', '--for=delete', 'pod/a'])
      while (console.server.watching < 3) await new Promise((resolve) => setImmediate(resolve))
      await console.server.put(pod('a'))
      assert.deepEqual(await ready.result, { exit: 0, stdout: 'pod/a condition met\n', stderr: '' })
      assert.deepEqual(await running.result, { exit: 0, stdout: 'pod/a condition met\n', stderr: '' })
      await console.server.remove('Pod', 'a')
      assert.deepEqual(await gone.result, { exit: 0, stdout: 'pod/a condition met\n', stderr: '' })
      assert.equal((await console.run('wait --for=delete pod/a')).exit, 0)
    })

    it('gives up in time, and at once when there is nothing to wait for', async () => {
      await console.server.put(pod('a', { status: { phase: 'Pending' } }))
      assert.deepEqual(await console.run('wait --for=condition=Ready pod/a --timeout=50ms'), {
        exit: 4,
        stdout: '',
        stderr: 'error: timed out waiting for the condition on pods/a\n',
      })
      assert.deepEqual(await console.run('wait --for=condition=Ready=false pod/a --timeout=0'), {
        exit: 4,
        stdout: '',
        stderr: 'error: timed out waiting for the condition on pods/a\n',
      })
      assert.equal((await console.run('wait --for=condition=Ready pod/nope')).exit, 3)
      assert.equal(
        (await console.run('wait --for=condition=Ready pods -l app=nope')).stderr,
        'error: no matching resources found\n',
      )
      assert.equal((await console.run('wait --for=ready pod/a')).exit, 2)
    })

    it('does not believe a condition of an older spec', async () => {
      await console.server.put(deployment('web', { metadata: { generation: 2 } }))
      assert.equal((await console.run('wait --for=condition=Available deploy/web --timeout=0')).exit, 4)
      await console.server.put(deployment('web', { metadata: { generation: 1 } }))
      assert.equal((await console.run('wait --for=condition=available deploy/web --timeout=0')).exit, 0)
    })
  })

  describe('gantry patch', () => {
    it('patches in three ways', async () => {
      await console.server.put(deployment('web'))
      const image = (): string | undefined =>
        console.server.get<Deployment>('Deployment', 'web')!.spec.template.spec.containers[0]!.image
      assert.equal(
        (
          await console.run([
            'patch',
            'deploy/web',
            '-p',
            '{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"a"}]}}}}',
          ])
        ).stdout,
        'deployment.apps/web patched\n',
      )
      assert.equal(image(), 'a')
      await console.run([
        'patch',
        'deploy/web',
        '--type',
        'json',
        '-p',
        '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"b"}]',
      ])
      assert.equal(image(), 'b')
      assert.equal(
        (await console.run(['patch', 'deploy/web', '--type=merge', '-p', 'spec: {replicas: 3}'])).stdout,
        'deployment.apps/web patched (no change)\n',
      )
      await console.file('patch.yaml', 'spec: {replicas: 9}\n')
      assert.match((await console.run('patch deploy web --patch-file patch.yaml -o yaml')).stdout, /replicas: 9/)
      assert.equal((await console.run('patch deploy web -p [')).exit, 2)
    })
  })

  describe('gantry edit', () => {
    const CONFIG = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { color: 'blue' } }

    it('writes back what the editor changed, after telling what was refused', async () => {
      await console.server.put(CONFIG)
      const seen: string[] = []
      const { exit, stdout, stderr } = await console.run('edit cm c', {
        env: { EDITOR: 'myed --fast' },
        runOnTerminal: async (program, args) => {
          assert.deepEqual([program, args[0]], ['myed', '--fast'])
          const text = await readFile(args[1]!, 'utf8')
          seen.push(text)
          await writeFile(
            args[1]!,
            seen.length === 1
              ? text.replace(/^data:/m, 'dota:')
              : text.replace(/^dota:/m, 'data:').replace('blue', 'red'),
          )
          return 0
        },
      })
      assert.deepEqual([exit, stdout], [0, 'configmap/c edited\n'])
      assert.match(stderr, /dota: unknown field/)
      assert.match(seen[1]!, /# .*dota: unknown field/)
      assert.deepEqual(console.server.get<ConfigMap>('ConfigMap', 'c')!.data, { color: 'red' })
    })

    it('changes only what was edited, whatever others change meanwhile', async () => {
      await console.server.put({ ...CONFIG, data: { color: 'blue', size: 'big', old: 'x' } })
      const { exit, stdout, stderr } = await console.run('edit cm c', {
        runOnTerminal: async (_, [file]) => {
          await console.run(['patch', 'cm', 'c', '--type', 'merge', '-p', '{"data":{"size":"small","new":"y"}}'])
          await writeFile(file!, (await readFile(file!, 'utf8')).replace('blue', 'red').replace(/^ *old: x\n/m, ''))
          return 0
        },
      })
      assert.deepEqual({ exit, stdout, stderr }, { exit: 0, stdout: 'configmap/c edited\n', stderr: '' })
      assert.deepEqual(console.server.get<ConfigMap>('ConfigMap', 'c')!.data, { color: 'red', size: 'small', new: 'y' })
    })

    it('names what others changed, too, and keeps what was written', async () => {
      await console.server.put(CONFIG)
      let opened = 0
      const { exit, stderr } = await console.run('edit cm c', {
        runOnTerminal: async (_, [file]) => {
          if (++opened > 1) return 0
          await console.run(['patch', 'cm', 'c', '--type', 'merge', '-p', '{"data":{"color":"green"}}'])
          await writeFile(file!, (await readFile(file!, 'utf8')).replace('blue', 'red'))
          return 0
        },
      })
      assert.equal(exit, 1)
      assert.match(
        stderr,
        /^error: configmap\/c was changed by another meanwhile\n {2}data\.color: is "green" now\n {2}write the same, or edit again from what it is now\n/,
      )
      const kept = /what was written is kept in (\S+)\n$/.exec(stderr)![1]!
      assert.match(await readFile(kept, 'utf8'), /color: red/)
      await rm(path.dirname(kept), { recursive: true })
      assert.deepEqual(console.server.get<ConfigMap>('ConfigMap', 'c')!.data, { color: 'green' })
    })

    it('leaves the object alone when nothing was changed or the editor failed', async () => {
      await console.server.put(CONFIG)
      assert.deepEqual(await console.run('edit cm/c', { runOnTerminal: async () => 0 }), {
        exit: 0,
        stdout: 'Edit cancelled, no changes made.\n',
        stderr: '',
      })
      assert.deepEqual(await console.run('edit cm/c', { runOnTerminal: async () => 1 }), {
        exit: 1,
        stdout: '',
        stderr: 'error: the editor vi ended with 1; nothing was changed\n',
      })
    })
  })

  describe('gantry events', () => {
    it('shows what happened, of one object or one type', async () => {
      console.server.publish(
        decodeJson(
          'Event',
          event('e1', { kind: 'Pod', name: 'a' }, { count: 3, firstTimestamp: '2026-01-31T11:30:00Z' }),
        ),
        decodeJson('Event', event('e2', { kind: 'Pod', name: 'b' }, { type: 'Warning', reason: 'OOMKilled' })),
      )
      assert.match(
        (await console.run('events')).stdout,
        /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n60s \(x3 over 30m\) +Normal +Started +pod\/a +started container main\n60s +Warning +OOMKilled +pod\/b/,
      )
      assert.equal((await console.run('events --for pod/b -o name')).stdout, 'event/e2\n')
      assert.equal((await console.run('events --types warning -o name -A')).stdout, 'event/e2\n')
      assert.deepEqual(await console.run('events -n nowhere'), {
        exit: 0,
        stdout: '',
        stderr: 'No events found in nowhere namespace.\n',
      })
      assert.equal((await console.run('events --types odd')).exit, 2)
    })
  })
})
