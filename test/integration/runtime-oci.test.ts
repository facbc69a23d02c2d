import { runtimeSuite } from '../contract/runtime.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'

for (const runtime of ['crun', 'runc'] as const) {
  runtimeSuite(runtime, async () => {
    const machine = await RuntimeMachine.make(runtime)
    return {
      driver: () => machine.driver(),
      commands: {
        runs: ['/bin/sleep', '1000'],
        ignoresSigterm: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1000; done'],
        exitsWith3: ['/bin/sh', '-c', 'exit 3'],
        missing: ['nowhere-to-be-found'],
        notExecutable: ['/not-executable'],
      },
      rootfs: machine.rootfs,
      logPath: (id: string) => machine.logPath(id),
      kill: (pid: number) => void process.kill(pid, 'SIGKILL'),
      pass: () => machine.pass(),
      cleanUp: () => machine.cleanUp(),
    }
  })
}
