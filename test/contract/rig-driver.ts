/**
 * What every driver of a rig's machines does: the suite of deploy/rig/contract.ts. Seen from programs on the machines,
 * which are small shells.
 */
import assert from 'node:assert/strict'
import type { Machine } from '../../deploy/rig/contract.ts'
import { eventually } from '../eventually.ts'
import { driverDisks } from './rig-driver-disk.ts'
import { beating, Bench, GIBI, json, PORT, rigName, sizeOn, textOn, type DriverSubject } from './rig-driver-bench.ts'

export function rigDriverSuite(name: string, make: () => Promise<DriverSubject>): void {
  describe(`rig driver: ${name}`, function () {
    this.timeout(120_000)
    let subject: DriverSubject
    let bench: Bench
    let other: Bench
    let first: Machine
    let second: Machine

    before(async () => {
      subject = await make()
      bench = new Bench(subject, rigName('a'))
      other = new Bench(subject, rigName('b'))
      await bench.createNetwork()
      ;[first, second] = (await Promise.all([bench.start(bench.spec(1)), bench.start(bench.spec(2))])) as [
        Machine,
        Machine,
      ]
      await Promise.all([beating(first, 1), beating(second, 1)])
    })

    after(async () => {
      if (subject === undefined) return
      await Promise.all([bench.remove(), other.remove()])
      await subject.cleanUp()
    })

    /** Lets time pass on a machine beside its own processes: so many of a bystander's steps. */
    const steps = async (machine: Machine, count: number): Promise<void> =>
      void (await machine.run(['sh', '-c', 'for step in $(seq "$0"); do sleep 0.02; done', String(count)]))
    const fetchName = async (machine: Machine): Promise<string> => {
      const answer = await fetch(`http://${await bench.driver.endpoint(bench.record(machine.spec.name), PORT)}/name`, {
        signal: AbortSignal.timeout(1_000),
      })
      return (await answer.text()).trim()
    }

    it('starts a machine with its name, files, directories and program', async () => {
      assert.equal(await first.state(), 'running')
      const {
        spec: { stateDir, runDir, files },
      } = first
      assert.equal((await first.run(['hostname'])).stdout.trim(), 'n1')
      for (const { path, content, mode = 0o600 } of files) {
        assert.equal(await textOn(first, path), content)
        assert.equal((await first.run(['stat', '-c', '%a', path])).stdout.trim(), mode.toString(8))
      }
      assert.equal(await textOn(first, `${stateDir}/starts`), 'start\n')
      assert.match(await textOn(first, `${runDir}/pid`), /^\d+\n$/)
      assert.match(await first.readLog(1_000), /^hello from n1$/m)
      assert.equal(await first.readLog(3), 'n1\n')
    })

    it('starts the program only when the machine is written down', async () => {
      let printed: string | undefined
      const machine = await bench.start(
        bench.spec(3),
        async () => void (printed = await bench.machine('n3').readLog(100)),
      )
      assert.equal(printed, '')
      await beating(machine, 1)
      await bench.removeMachine('n3')
      await bench.removeMachine('n3')
      assert.deepEqual(
        (await subject.left(bench.rig)).filter((what) => what.includes('n3')),
        [],
      )
    })

    it('leaves nothing of a machine that could not be written down, and says why', async () => {
      await assert.rejects(
        bench.start(bench.spec(4), () => Promise.reject(new Error('no room for the record'))),
        { code: 'Internal', message: /n4.*no room for the record/s },
      )
      assert.deepEqual(
        (await subject.left(bench.rig)).filter((what) => what.includes('n4')),
        [],
      )
    })

    it('runs programs to their end, with input, exit code and deadline', async () => {
      assert.deepEqual(await first.run(['sh', '-c', 'cat; echo bad >&2; exit 3'], { stdin: 'in', allow: [3] }), {
        code: 3,
        stdout: 'in',
        stderr: 'bad\n',
      })
      await assert.rejects(
        first.run(['sh', '-c', 'echo no such thing >&2; exit 5']),
        (thrown: { code: string; message: string; details: { field: string; value: string }[] }) => {
          assert.equal(thrown.code, 'Internal')
          assert.match(thrown.message, /no such thing/)
          assert.deepEqual(
            thrown.details.map(({ field, value }) => [field, value]),
            [['exitCode', '5']],
          )
          return true
        },
      )
      await assert.rejects(first.run(['no-such-program']), { code: 'NotFound', message: /no-such-program/ })
      await assert.rejects(
        first.run(['sh', '-c', 'echo $$ > "$0"; exec sleep 600', `${first.spec.runDir}/late`], { timeout: 300 }),
        { code: 'DeadlineExceeded' },
      )
      const late = (await textOn(first, `${first.spec.runDir}/late`)).trim()
      await eventually(async () => (await first.run(['test', '-e', `/proc/${late}`], { allow: [0, 1] })).code === 1)
    })

    it("gives a terminal's exit code", async () => {
      assert.equal(await first.terminal(['sh', '-c', 'exit 7']), 7)
    })

    it('lets machines reach each other, and this host reach them', async () => {
      const url = `http://${bench.driver.hostOf(bench.network!, second.spec.index, second.spec.name)}:${PORT}/name`
      assert.equal((await first.run(['busybox', 'wget', '-q', '-O', '-', url])).stdout.trim(), 'n2')
      assert.equal(await fetchName(first), 'n1')
      assert.equal(await fetchName(second), 'n2')
      assert.match(first.address, /^\d+\.\d+\.\d+\.\d+$/)
      assert.notEqual(first.address, second.address)
    })

    it('keeps its program running, but for the time that it is held off', async () => {
      const { stateDir, runDir } = second.spec
      const hold = `${runDir}/hold-agent`
      const starts = await textOn(second, `${stateDir}/starts`)
      const kill = async (): Promise<void> =>
        void (await second.run(['sh', '-c', 'pid=$(cat "$0/pid") && rm "$0/pid" && kill -KILL "$pid"', runDir]))
      await kill()
      await eventually(
        async () =>
          (await textOn(second, `${stateDir}/starts`)) === `${starts}start\n` &&
          (await textOn(second, `${runDir}/pid`)) !== '',
      )
      await second.run(['touch', hold])
      await kill()
      await steps(second, 75) // longer than it takes to be started again
      assert.equal(await textOn(second, `${runDir}/pid`), '')
      await second.run(['rm', hold])
      await eventually(async () => (await textOn(second, `${runDir}/pid`)) !== '')
      assert.match(await second.readLog(10_000), /ended with 137/)
    })

    it('stops every process of a machine and continues them, with what runs beside them untouched', async () => {
      const { runDir } = first.spec
      const beside = await first.startProgram([
        'sh',
        '-c',
        'while :; do echo >> "$0"; sleep 0.02; done',
        `${runDir}/beside`,
      ])
      await first.freeze()
      await first.freeze()
      assert.equal(await bench.machine('n1').state(), 'frozen')
      const [beats, steady] = [await sizeOn(first, `${runDir}/beats`), await sizeOn(first, `${runDir}/beside`)]
      await eventually(async () => (await sizeOn(first, `${runDir}/beside`)) > steady + 10)
      assert.equal(await sizeOn(first, `${runDir}/beats`), beats)
      await assert.rejects(fetchName(first))
      await bench.machine('n1').thaw()
      await first.thaw()
      assert.equal(await first.state(), 'running')
      await eventually(async () => (await sizeOn(first, `${runDir}/beats`)) > beats + 2)
      assert.equal(await fetchName(first), 'n1')
      await first.endProgram(json(beside))
    })

    it('ends a program beside with all that it has started, asking first', async () => {
      const { runDir } = first.spec
      const program = await first.startProgram([
        'sh',
        '-c',
        'trap "echo bye > $0/bye; exit" TERM; sleep 600 & echo $! > "$0/child"; while :; do sleep 0.02; done',
        runDir,
      ])
      const child = await eventually(async () => (await textOn(first, `${runDir}/child`)).trim() || false)
      await bench.machine('n1').endProgram(json(program))
      assert.equal(await textOn(first, `${runDir}/bye`), 'bye\n')
      assert.equal((await first.run(['test', '-e', `/proc/${child}`], { allow: [0, 1] })).code, 1)
      await first.endProgram(json(program))
    })

    it('ends everything at once, also what is frozen, and starts again from the same disk', async () => {
      const { stateDir, runDir, files } = first.spec
      await first.run(['sh', '-c', 'echo kept > "$0/kept"; echo old > "$1/old"', stateDir, runDir])
      const program = await first.startProgram(['sleep', '600'])
      const starts = (await textOn(first, `${stateDir}/starts`)).split('\n').length - 1
      await first.freeze()
      await first.kill()
      await first.kill()
      assert.equal(await bench.machine('n1').state(), 'off')
      await assert.rejects(first.run(['true']), { code: 'FailedPrecondition', message: /n1/ })
      await assert.rejects(first.freeze(), { code: 'FailedPrecondition' })
      await assert.rejects(fetchName(first))
      assert.match(await first.readLog(10_000), /hello from n1/)
      await bench.machine('n1').endProgram(json(program))

      first = bench.machine('n1')
      await first.start()
      await first.start()
      await beating(first, starts + 1)
      assert.equal(await textOn(first, `${stateDir}/kept`), 'kept\n')
      assert.equal(await textOn(first, `${runDir}/old`), '')
      for (const { path, content } of files) assert.equal(await textOn(first, path), content)
      assert.equal(await fetchName(first), 'n1')
      assert.equal(bench.machine('n1').address, first.address)
    })

    it('holds everything on a machine to its memory', async () => {
      const machine = await bench.start(bench.spec(5, { memoryBytes: 48 * 2 ** 20 }))
      const { runDir } = machine.spec
      await machine.startProgram([
        'sh',
        '-c',
        'head -c 100000000 /dev/zero | tail -c 90000000 | wc -c > "$0/counted"; echo over > "$0/over"',
        runDir,
      ])
      await eventually(async () => (await textOn(machine, `${runDir}/over`)) !== '')
      assert.equal((await textOn(machine, `${runDir}/counted`)).trim(), '0')
      await bench.removeMachine('n5')
    })

    it('keeps rigs apart that have machines of the same names', async () => {
      await other.createNetwork()
      const twin = await other.start(other.spec(1))
      await beating(twin, 1)
      assert.notEqual(twin.address, first.address)
      await twin.run(['sh', '-c', 'echo mine > "$0/mine"', twin.spec.stateDir])
      await twin.freeze()
      assert.equal(await first.state(), 'running')
      await other.remove()
      assert.deepEqual(await subject.left(other.rig), [])
      assert.equal(await first.state(), 'running')
      assert.equal(await fetchName(first), 'n1')
      assert.equal(
        (
          await second.run([
            'busybox',
            'wget',
            '-q',
            '-O',
            '-',
            `http://${bench.driver.hostOf(bench.network!, first.spec.index, 'n1')}:${PORT}/name`,
          ])
        ).stdout.trim(),
        'n1',
      )
    })

    it('checks the host without changing it', async () => {
      assert.deepEqual(
        (await bench.driver.check({ controllers: 1, nodes: 3, diskBytes: GIBI })).filter(
          ({ severity }) => severity === 'fatal',
        ),
        [],
      )
      const [short] = await bench.driver.check({ controllers: 5, nodes: 1_000_000, diskBytes: GIBI })
      assert.ok(
        short !== undefined && short.what !== '' && short.found !== '' && short.needed !== '' && short.remedy !== '',
      )
    })

    it('leaves nothing on the host', async () => {
      assert.notDeepEqual(await subject.left(bench.rig), [])
      await first.freeze()
      await second.kill()
      await bench.remove()
      assert.deepEqual(await subject.left(bench.rig), [])
      await bench.driver.removeNetwork(bench.rig, bench.network)
      await bench.driver.removeNetwork(rigName('never'), undefined)
    })
  })

  driverDisks(name, make)
}
