//! seccomp: which system calls there are.
//!
//! Two filters. The first knows what exists: what is in neither list answers ENOSYS, as on a kernel without it, so that
//! libraries fall back (clone3 → clone) and calls that kernels grow later are not there. The second denies, with EPERM,
//! what exists and may not be done, by its arguments where these tell.

use super::SandboxError;
use libc::c_long;
use orchestrator_core::config::model::Grants;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Calls that are let through, if the second filter has nothing against them.
const KNOWN: &[c_long] = &[
    // Files that are open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ioctl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_getdents64,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_fchdir,
    // Files by name: which ones, Landlock decides.
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_get_mempolicy,
    // Threads, time, waiting.
    libc::SYS_clone,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_getattr,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_pipe2,
    libc::SYS_restart_syscall,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    // About oneself and the machine.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getpriority,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_seccomp,
    // Sockets: none without a grant but pairs.
    libc::SYS_socketpair,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// The same under the names that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const KNOWN_HERE: &[c_long] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const KNOWN_HERE: &[c_long] = &[];

/// Calls that exist and are always denied.
const DENIED: &[c_long] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_setpgid,
    libc::SYS_setsid,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_ioprio_set,
    libc::SYS_setrlimit,
    libc::SYS_acct,
    libc::SYS_kcmp,
    // The file system.
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    // The machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // Memory that outlives the process or counts nowhere.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_creat,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[c_long] = &[];

/// Calls that connect, where the network is granted.
const NETWORK: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
];

pub(super) fn restrict(grants: &Grants) -> Result<(), SandboxError> {
    let known = program(existing(), SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)?;
    let denied = program(forbidden(grants)?, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))?;
    // The last filter cannot be applied once the first denies `seccomp`: it does not.
    apply_filter(&known).map_err(SandboxError::Seccomp)?;
    apply_filter(&denied).map_err(SandboxError::Seccomp)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(rules: Rules, other: SeccompAction, action: SeccompAction) -> Result<BpfProgram, SandboxError> {
    let here = TargetArch::try_from(std::env::consts::ARCH).map_err(SandboxError::Filter)?;
    let filter = SeccompFilter::new(rules, other, action, here).map_err(SandboxError::Filter)?;
    filter.try_into().map_err(SandboxError::Filter)
}

/// What the first filter lets through: all that the second judges, too.
fn existing() -> Rules {
    let judged = [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_prlimit64];
    #[cfg(target_arch = "x86_64")]
    let by_name = [libc::SYS_open];
    #[cfg(not(target_arch = "x86_64"))]
    let by_name: [c_long; 0] = [];
    let lists = [KNOWN, KNOWN_HERE, DENIED, DENIED_HERE, NETWORK, &judged, &by_name];
    lists.into_iter().flatten().map(|call| (*call, Vec::new())).collect()
}

fn forbidden(grants: &Grants) -> Result<Rules, SandboxError> {
    let mut rules: Rules = DENIED.iter().chain(DENIED_HERE).map(|call| (*call, Vec::new())).collect();
    let mut when = |call: c_long, ways: Vec<Vec<SeccompCondition>>| -> Result<(), SandboxError> {
        let ways: Result<Vec<SeccompRule>, _> = ways.into_iter().map(SeccompRule::new).collect();
        rules.insert(call, ways.map_err(SandboxError::Filter)?);
        Ok(())
    };
    let own = u64::from(std::process::id());
    // Threads, but no processes.
    let thread = libc::CLONE_THREAD as u64;
    when(libc::SYS_clone, vec![vec![is_masked(0, thread, 0)?]])?;
    // Signals to oneself: that is how `abort` works.
    when(libc::SYS_kill, vec![vec![is_not(0, own)?]])?;
    when(libc::SYS_tgkill, vec![vec![is_not(0, own)?]])?;
    when(libc::SYS_prlimit64, vec![vec![is_not(0, 0)?, is_not(0, own)?]])?;
    // No signal by way of a descriptor either, and no typing into a terminal.
    let owners = [libc::F_SETOWN, F_SETOWN_EX, F_SETSIG].map(|command| command as u64);
    when(libc::SYS_fcntl, any_of(1, &owners)?)?;
    when(libc::SYS_ioctl, any_of(1, &[libc::TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP])?)?;
    // The runner dies with the host, whatever the plugin wants.
    let bonds = [libc::PR_SET_PDEATHSIG as u64, libc::PR_SET_DUMPABLE as u64];
    when(libc::SYS_prctl, any_of(0, &bonds)?)?;
    // A datagram socket of a pair could be sent elsewhere.
    let kinds = u64::from(u32::from(u8::MAX) >> 4);
    when(libc::SYS_socketpair, vec![vec![is_masked(1, kinds, libc::SOCK_DGRAM as u64)?]])?;
    if grants.network {
        let domains = vec![vec![is_not(0, libc::AF_INET as u64)?, is_not(0, libc::AF_INET6 as u64)?]];
        when(libc::SYS_socket, domains)?;
    } else {
        for call in NETWORK {
            when(*call, Vec::new())?;
        }
        // `send` is `sendto` without an address.
        when(libc::SYS_sendto, vec![vec![address_given(4)?]])?;
    }
    if grants.observer {
        for (call, argument) in open_calls() {
            let writing = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_APPEND];
            let bits = writing.map(|bit| bit as u64);
            let ways: Result<Vec<_>, _> =
                bits.iter().map(|bit| Ok(vec![is_masked(argument, *bit, *bit)?])).collect();
            when(call, ways?)?;
        }
    }
    Ok(rules)
}

// From the kernel's `fcntl.h`, `tty.h` and `sockios.h`.
const F_SETOWN_EX: i32 = 15;
const F_SETSIG: i32 = 10;
const TIOCLINUX: u64 = 0x541c;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;

/// Where an argument is one of these.
fn any_of(argument: u8, values: &[u64]) -> Result<Vec<Vec<SeccompCondition>>, SandboxError> {
    values.iter().map(|value| Ok(vec![is(argument, *value)?])).collect()
}

/// Calls that open by name, and which of their arguments holds the flags.
fn open_calls() -> Vec<(c_long, u8)> {
    #[cfg(target_arch = "x86_64")]
    return vec![(libc::SYS_openat, 2), (libc::SYS_open, 1)];
    #[cfg(not(target_arch = "x86_64"))]
    return vec![(libc::SYS_openat, 2)];
}

fn condition(
    argument: u8,
    width: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, SandboxError> {
    SeccompCondition::new(argument, width, operator, value).map_err(SandboxError::Filter)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, SandboxError> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Result<SeccompCondition, SandboxError> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn is_masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, SandboxError> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn address_given(argument: u8) -> Result<SeccompCondition, SandboxError> {
    condition(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
}

#[cfg(test)]
mod tests {
    use super::{existing, forbidden, program};
    use orchestrator_core::config::model::Grants;
    use seccompiler::SeccompAction;

    #[test]
    fn the_filters_compile_for_every_grant() {
        program(existing(), SeccompAction::Errno(38), SeccompAction::Allow).unwrap();
        for (network, observer) in [(false, false), (true, false), (false, true), (true, true)] {
            let grants = Grants { network, observer, ..Grants::default() };
            let rules = forbidden(&grants).unwrap();
            assert_eq!(rules[&libc::SYS_socket].is_empty(), !network);
            program(rules, SeccompAction::Allow, SeccompAction::Errno(1)).unwrap();
        }
    }

    #[test]
    fn what_is_judged_exists() {
        let existing = existing();
        let all = forbidden(&Grants { observer: true, ..Grants::default() }).unwrap();
        let unknown: Vec<_> = all.keys().filter(|call| !existing.contains_key(call)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
