import assert from 'node:assert/strict'
import { countProcesses } from './process-trace.ts'

describe('processes of a trace', () => {
  it('are counted by the last program that each became, or by what it was forked from; threads are none', () => {
    const trace = `# tracer: nop
              sh-10      [000] .....  1.000001: task_newtask: pid=11 comm=sh clone_flags=4100 oom_score_adj=0
              sh-11      [001] .....  1.000002: sched_process_exec: filename=/usr/bin/unshare pid=11 old_pid=11
         unshare-11      [001] .....  1.000003: sched_process_exec: filename=/usr/sbin/ip pid=11 old_pid=11
              sh-10      [000] .....  1.000004: task_newtask: pid=12 comm=sh clone_flags=1200000 oom_score_adj=0
          conmon-13      [000] .....  1.000005: task_newtask: pid=14 comm=a b clone_flags=1200000 oom_score_adj=-999
            node-15      [000] .....  1.000006: task_newtask: pid=16 comm=node clone_flags=3d0f00 oom_score_adj=0
`
    assert.deepEqual(
      countProcesses(trace),
      new Map([
        ['ip', 1],
        ['sh', 1],
        ['a b', 1],
      ]),
    )
    assert.equal(countProcesses('').size, 0)
  })
})
