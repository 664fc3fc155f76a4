//! seccomp: which system calls there are.
//!
//! Two filters. The first knows what exists: what is in neither list answers ENOSYS, as on a kernel without it, so that
//! libraries fall back (clone3 → clone) and calls that kernels grow later are not there. The second denies, with EPERM,
//! what exists and may not be done, by its arguments where these tell.

use super::SandboxError;
use super::lists::{DENIED, DENIED_HERE, KNOWN, KNOWN_HERE, NETWORK};
use libc::c_long;
use orchestrator_core::config::model::Grants;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

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
    // Datagrams of a pair could be sent elsewhere, by the address in a message. The kernel makes datagram sockets of raw
    // ones, too; only what knows nobody but its pair is left.
    let harmless = [libc::SOCK_STREAM as u64, libc::SOCK_SEQPACKET as u64];
    let others = (0..=SOCKET_KINDS).filter(|kind| !harmless.contains(kind));
    let ways: Result<Vec<_>, _> = others.map(|kind| Ok(vec![is_masked(1, SOCKET_KINDS, kind)?])).collect();
    when(libc::SYS_socketpair, ways?)?;
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
/// The bits of a socket's type beside its flags (the kernel's `SOCK_TYPE_MASK`).
const SOCKET_KINDS: u64 = 0xf;

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
