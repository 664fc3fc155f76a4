//! The host's side of the services that a plugin may call.

use crate::host::Message;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{ROption, RStr};
use orchestrator_plugin_api::abi::{
    ByteSink, FactId, HostHandle, HostServices, HostServicesRef, LogLevelId, NO_DEADLINE, TextId,
};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Log records that an instance may write between two rounds; the rest is dropped and counted.
const RECORDS_PER_ROUND: u32 = 100;
/// Longest log message in bytes; the rest is cut.
const MESSAGE_BYTES: usize = 4096;
const IDLE: u64 = 0;

/// What the services know about an instance. Leaked, since a thread of the plugin's may outlive everything else.
pub(crate) struct Context {
    slot: usize,
    generation: u32,
    deadline: Duration,
    origin: Instant,
    /// When the call under way began, in nanoseconds after `origin` plus one; [`IDLE`] between calls.
    call: AtomicU64,
    /// Log records written since the last round began.
    records: AtomicU32,
    messages: Sender<Message>,
}

impl Context {
    pub(crate) fn leak(
        (slot, generation): (usize, u32),
        deadline: Duration,
        messages: Sender<Message>,
    ) -> &'static Self {
        let (call, records) = (AtomicU64::new(IDLE), AtomicU32::new(0));
        Box::leak(Box::new(Self {
            slot,
            generation,
            deadline,
            origin: Instant::now(),
            call,
            records,
            messages,
        }))
    }

    pub(crate) fn handle(&'static self) -> HostHandle {
        HostHandle { services: services(), context: std::ptr::from_ref(self).cast_mut().cast() }
    }

    /// Marks the beginning of a call; the mark goes when the guard does.
    pub(crate) fn begin_call(&self) -> CallMark<'_> {
        self.call.store(self.now() + 1, Ordering::Release);
        CallMark(self)
    }

    /// When the call under way must be over; `None` between calls.
    pub(crate) fn call_ends(&self) -> Option<Instant> {
        let mark = self.call.load(Ordering::Acquire);
        (mark != IDLE).then(|| self.origin + Duration::from_nanos(mark - 1) + self.deadline)
    }

    /// Gives a fresh allowance of log records; returns how many were dropped of the last one.
    pub(crate) fn renew_allowance(&self) -> u32 {
        self.records.swap(0, Ordering::Relaxed).saturating_sub(RECORDS_PER_ROUND)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn log(&self, level: LogLevelId, target: &str, message: &str) {
        let before = self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        if before.is_ok_and(|written| written < RECORDS_PER_ROUND) {
            let level = if (1..=5).contains(&level.0) { level.0 as u8 } else { 3 };
            let message = format!("{target}: {}", shortened(message));
            let _ = self.messages.send(Message::Log {
                slot: self.slot,
                generation: self.generation,
                level,
                message,
            });
        }
    }
}

/// A call under way.
pub(crate) struct CallMark<'c>(&'c Context);

impl Drop for CallMark<'_> {
    fn drop(&mut self) {
        self.0.call.store(IDLE, Ordering::Release);
    }
}

fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

fn services() -> HostServicesRef {
    static SERVICES: OnceLock<HostServicesRef> = OnceLock::new();
    *SERVICES.get_or_init(|| {
        HostServices { log, remaining_ns, process_number, process_text, process_environment }
            .leak_into_prefix()
    })
}

// Nothing is brokered yet: every fact is unknown, as on a host of contract 1.0.

extern "C" fn process_number(_: *mut (), _: u32, _: FactId) -> ROption<f64> {
    ROption::RNone
}

extern "C" fn process_text(_: *mut (), _: u32, _: TextId, _: ByteSink) -> bool {
    false
}

extern "C" fn process_environment(_: *mut (), _: u32, _: RStr<'_>, _: ByteSink) -> bool {
    false
}

extern "C" fn log(context: *mut (), level: LogLevelId, target: RStr<'_>, message: RStr<'_>) {
    // SAFETY: the plugin hands back the pointer of `Context::handle`, which is leaked and only shared.
    let context = unsafe { &*context.cast::<Context>() };
    context.log(level, target.as_str(), message.as_str());
}

extern "C" fn remaining_ns(context: *mut ()) -> u64 {
    // SAFETY: as in `log`.
    let context = unsafe { &*context.cast::<Context>() };
    let Some(end) = context.call_ends() else { return NO_DEADLINE };
    u64::try_from(end.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(NO_DEADLINE)
}

#[cfg(test)]
mod tests {
    use super::{Context, MESSAGE_BYTES, RECORDS_PER_ROUND, log, remaining_ns};
    use crate::host::Message;
    use orchestrator_plugin_api::abi::{LogLevelId, NO_DEADLINE};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn time_remains_only_within_a_call() {
        let context = Context::leak((0, 0), Duration::from_secs(60), channel().0);
        let pointer = context.handle().context;
        assert_eq!(remaining_ns(pointer), NO_DEADLINE);
        let call = context.begin_call();
        let left = Duration::from_nanos(remaining_ns(pointer));
        assert!(left > Duration::from_secs(1) && left <= Duration::from_secs(60), "{left:?}");
        drop(call);
        assert_eq!(remaining_ns(pointer), NO_DEADLINE);
    }

    #[test]
    fn a_talkative_plugin_is_cut_short() {
        let (sender, messages) = channel();
        let context = Context::leak((7, 2), Duration::from_secs(1), sender);
        let long = "ü".repeat(MESSAGE_BYTES);
        for _ in 0..RECORDS_PER_ROUND + 50 {
            log(context.handle().context, LogLevelId(99), "t".into(), long.as_str().into());
        }
        let received: Vec<Message> = messages.try_iter().collect();
        assert_eq!(received.len(), RECORDS_PER_ROUND as usize);
        assert!(received.iter().all(|message| matches!(
            message,
            Message::Log { slot: 7, generation: 2, level: 3, message } if message.len() <= MESSAGE_BYTES + 3
        )));
        assert_eq!(context.renew_allowance(), 50);
    }
}
