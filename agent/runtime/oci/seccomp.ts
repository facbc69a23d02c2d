/**
 * The default seccomp filter (OCI runtime spec 1.2.1, config-linux.md, "Seccomp"): a list of what is allowed, the rest
 * fails with EPERM. What needs a capability to be of use is allowed to those who have it. The names follow what
 * Docker's and containerd's defaults let pass.
 */

export interface SeccompRule {
  readonly names: readonly string[]
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'
  readonly errnoRet?: number
  readonly args?: readonly {
    readonly index: number
    readonly value: number
    readonly valueTwo?: number
    readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_NE' | 'SCMP_CMP_MASKED_EQ'
  }[]
}

export interface SeccompProfile {
  readonly defaultAction: 'SCMP_ACT_ERRNO'
  readonly defaultErrnoRet: number
  readonly architectures: readonly string[]
  readonly syscalls: readonly SeccompRule[]
}

const EPERM = 1
const ENOSYS = 38
const AF_VSOCK = 40
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET, clone(2). */
const NEW_NAMESPACES = 0x7e020000

/** The kernel's own architecture first, then those whose programs it also runs. */
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  ppc64: ['SCMP_ARCH_PPC64LE'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
}

const ALLOWED_SYSCALLS = {
  reading: `read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek sendfile sendfile64 splice tee vmsplice
    copy_file_range readahead fadvise64 fadvise64_64 arm_fadvise64_64 sync syncfs fsync fdatasync sync_file_range sync_file_range2 arm_sync_file_range`,
  opening:
    'open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2 fcntl fcntl64 flock ioctl memfd_create memfd_secret umask',
  names: `access faccessat faccessat2 chdir fchdir getcwd link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename renameat renameat2
    mkdir mkdirat rmdir mknod mknodat getdents getdents64 name_to_handle_at`,
  attributes: `stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx oldstat oldfstat oldlstat statfs statfs64 fstatfs fstatfs64 ustat
    chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat truncate truncate64 ftruncate ftruncate64 fallocate
    utime utimes utimensat utimensat_time64 futimesat getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
    listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat file_getattr file_setattr
    cachestat statmount listmount`,
  memory: `brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall remap_file_pages membarrier
    pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal process_mrelease`,
  processes: `fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid getsid setsid
    set_tid_address set_thread_area get_thread_area set_robust_list get_robust_list rseq prctl arch_prctl kill tkill tgkill pidfd_open
    pidfd_send_signal restart_syscall uname sysinfo times getcpu capget capset ptrace process_vm_readv process_vm_writev`,
  identity: `getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32 getgroups getgroups32
    setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setgroups setgroups32
    setfsuid setfsuid32 setfsgid setfsgid32`,
  limits: `getrlimit ugetrlimit setrlimit prlimit64 getrusage getpriority setpriority ioprio_get ioprio_set sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler
    sched_setscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_yield`,
  signals: `rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sigaction signal sigpending sigprocmask sigreturn sigsuspend sigaltstack pause alarm signalfd signalfd4`,
  waiting: `select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait
    epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
    io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64 inotify_init inotify_init1 inotify_add_watch
    inotify_rm_watch fanotify_mark`,
  time: `time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep
    clock_adjtime clock_adjtime64 adjtimex getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
    timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`,
  sockets: `socketcall socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt send sendto sendmsg
    sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64`,
  messages: `ipc semget semctl semop semtimedop semtimedop_time64 shmget shmat shmctl shmdt msgget msgctl msgsnd msgrcv mq_open mq_unlink mq_notify
    mq_getsetattr mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64`,
  rest: 'getrandom landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp uretprobe riscv_flush_icache riscv_hwprobe s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr cacheflush breakpoint set_tls sync_file_range2 swapcontext rtas',
} as const

const WITH_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_SYS_ADMIN: `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
    perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_MODULE: 'delete_module init_module finit_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  CAP_SYS_RAWIO: 'iopl ioperm',
  CAP_SYS_TIME: 'settimeofday stime clock_settime clock_settime64',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  CAP_SYSLOG: 'syslog',
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
}

/**
 * Execution domains of Linux itself, with and without ADDR_NO_RANDOMIZE's companions, and the question which is set:
 * personality(2).
 */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff]

/** Of every process, in order: worked out once. */
const ALLOWED: readonly string[] = [...new Set(Object.values(ALLOWED_SYSCALLS).flatMap(words))].sort()

/** The filter for a process with these capabilities ("CAP_…"). */
export function defaultSeccomp(
  capabilities: readonly string[],
  architecture: NodeJS.Architecture = process.arch,
): SeccompProfile {
  const granted = capabilities.flatMap((capability) => words(WITH_CAPABILITY[capability] ?? ''))
  const allowed = granted.length === 0 ? ALLOWED : [...new Set([...ALLOWED, ...granted])].sort()
  const mayMakeNamespaces = capabilities.includes('CAP_SYS_ADMIN')
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: ARCHITECTURES[architecture] ?? [],
    syscalls: [
      { names: allowed, action: 'SCMP_ACT_ALLOW' },
      ...PERSONALITIES.map((value): SeccompRule => ({
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
      })),
      { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }] },
      ...(mayMakeNamespaces
        ? []
        : [
            // On s390 the flags are the second argument.
            {
              names: ['clone'],
              action: 'SCMP_ACT_ALLOW',
              args: [
                {
                  index: architecture === 's390x' ? 1 : 0,
                  value: NEW_NAMESPACES,
                  valueTwo: 0,
                  op: 'SCMP_CMP_MASKED_EQ',
                },
              ],
            } satisfies SeccompRule,
            // Its flags lie in memory, where a filter cannot look: "not there" makes the C library use clone.
            { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS } satisfies SeccompRule,
          ]),
    ],
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
