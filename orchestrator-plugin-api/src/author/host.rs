//! The host's services as an author calls them.

use crate::abi::{HostHandle, LogLevelId, NO_DEADLINE};
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

thread_local! {
    static CURRENT: Cell<Option<HostHandle>> = const { Cell::new(None) };
}

/// The first instance's handle: what threads of a plugin's own log through.
static FIRST: OnceLock<HostHandle> = OnceLock::new();

/// Severity of a log record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// A call or the plugin failed.
    Error,
    /// Something is wrong but the plugin goes on.
    Warn,
    /// Worth reading in normal operation.
    Info,
    /// For the plugin's author.
    Debug,
    /// For the plugin's author, in every detail.
    Trace,
}

impl From<LogLevel> for LogLevelId {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Writes a record to the host's log; [`log!`](crate::log!) formats one. Outside of a host, as in a
/// plugin's own unit tests, it does nothing.
pub fn log(level: LogLevel, target: &str, message: &str) {
    if let Some(host) = current() {
        (host.services.log())(host.context, level.into(), target.into(), message.into());
    }
}

/// How much time the call under way has left, or `None` where it has no deadline. A plugin that may be slow
/// returns what it has before this is zero; a call that misses its deadline costs the instance.
pub fn remaining_time() -> Option<Duration> {
    let host = current()?;
    let nanoseconds = (host.services.remaining_ns())(host.context);
    (nanoseconds != NO_DEADLINE).then(|| Duration::from_nanos(nanoseconds))
}

/// Makes `host` the current one for the length of a call into the plugin.
pub(crate) fn with_host<T>(host: HostHandle, call: impl FnOnce() -> T) -> T {
    let _ = FIRST.set(host);
    let outer = CURRENT.replace(Some(host));
    let result = call();
    CURRENT.set(outer);
    result
}

fn current() -> Option<HostHandle> {
    CURRENT.try_with(Cell::get).ok().flatten().or_else(|| FIRST.get().copied())
}
