//! The host's services as an author calls them.

use crate::abi::{ByteSink, FactId, HostHandle, LogLevelId, NO_DEADLINE, TextId};
use abi_stable::std_types::RSlice;
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

/// A numeric fact about one process; `None` where the host offers none, or is older than 1.1.
pub(crate) fn process_number(pid: u32, id: FactId) -> Option<f64> {
    let host = current()?;
    host.services.process_number()?(host.context, pid, id).into_option()
}

/// A textual fact about one process; `None` as in [`process_number`].
pub(crate) fn process_text(pid: u32, id: TextId) -> Option<Vec<u8>> {
    let host = current()?;
    let text = host.services.process_text()?;
    gathered(|sink| text(host.context, pid, id, sink))
}

/// The value of an environment variable of one process; `None` as in [`process_number`].
pub(crate) fn process_environment(pid: u32, name: &str) -> Option<Vec<u8>> {
    let host = current()?;
    let environment = host.services.process_environment()?;
    gathered(|sink| environment(host.context, pid, name.into(), sink))
}

/// What `service` pushes into the sink, if it says that there is something.
fn gathered(service: impl FnOnce(ByteSink) -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let sink = ByteSink { context: (&raw mut bytes).cast(), push };
    service(sink).then_some(bytes)
}

extern "C" fn push(bytes: *mut (), more: RSlice<'_, u8>) {
    // SAFETY: the pointer is the one of `gathered`, whose vector outlives the service and is touched by nobody else
    // meanwhile; the contract allows pushes only before the service returns.
    let bytes = unsafe { &mut *bytes.cast::<Vec<u8>>() };
    bytes.extend_from_slice(more.as_slice());
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
