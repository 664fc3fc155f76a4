//! The host's side of the services that a plugin may call.

use super::collect::text;
use super::facts::{Desk, Fact, Question, Variables};
use crate::host::Message;
use crate::isolate::Upward;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{ROption, RStr};
use orchestrator_plugin_api::abi::{
    ByteSink, FactId, HostHandle, HostServices, HostServicesRef, LogLevelId, NO_DEADLINE, TextId,
};
use orchestrator_ports::PluginRound;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Log records that an instance may write between two rounds; the rest is dropped and counted.
const RECORDS_PER_ROUND: u32 = 100;
/// Longest words of a plugin in bytes, whether log message, reason or fault; the rest is cut.
const WORDS_BYTES: usize = 4096;
const IDLE: u64 = 0;

/// What the services know about an instance. Leaked, since a thread of the plugin's may outlive everything else.
pub(crate) struct Context {
    outlet: Outlet,
    deadline: Duration,
    call: &'static Stamp,
    /// Log records written since the last round began.
    records: AtomicU32,
}

/// Where records and questions go.
enum Outlet {
    /// To the supervisor of this process; questions are answered here.
    Host { slot: usize, generation: u32, messages: Sender<Message>, desk: Box<Mutex<Desk>> },
    /// To the process that started this one.
    Runner(&'static Upward),
}

/// When the call under way began; it may lie in memory that two processes share.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Stamp(AtomicU64);

impl Stamp {
    /// Marks the beginning of a call.
    fn begin(&self) {
        self.0.store(monotonic().saturating_add(1), Ordering::Release);
    }

    fn end(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// How long the call under way has lasted; `None` between calls.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let mark = self.0.load(Ordering::Acquire);
        (mark != IDLE).then(|| Duration::from_nanos(monotonic().saturating_sub(mark - 1)))
    }
}

/// Nanoseconds of the clock that all processes of the machine share and that stops with nobody.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl Context {
    /// Of an instance whose supervisor is in this process.
    pub(crate) fn leak(
        (slot, generation): (usize, u32),
        deadline: Duration,
        messages: Sender<Message>,
    ) -> &'static Self {
        let desk = Box::new(Mutex::new(Desk::new(Variables::All)));
        let outlet = Outlet::Host { slot, generation, messages, desk };
        Self::leak_with(outlet, deadline, Box::leak(Box::default()))
    }

    /// Of an instance in a runner.
    pub(crate) fn leak_in_runner(
        upward: &'static Upward,
        deadline: Duration,
        call: &'static Stamp,
    ) -> &'static Self {
        Self::leak_with(Outlet::Runner(upward), deadline, call)
    }

    fn leak_with(outlet: Outlet, deadline: Duration, call: &'static Stamp) -> &'static Self {
        Box::leak(Box::new(Self { outlet, deadline, call, records: AtomicU32::new(0) }))
    }

    pub(crate) fn handle(&'static self) -> HostHandle {
        HostHandle { services: services(), context: std::ptr::from_ref(self).cast_mut().cast() }
    }

    /// Marks the beginning of a call; the mark goes when the guard does.
    pub(crate) fn begin_call(&self) -> CallMark<'_> {
        self.call.begin();
        CallMark(self)
    }

    /// When the call under way must be over; `None` between calls.
    pub(crate) fn call_ends(&self) -> Option<Instant> {
        let elapsed = self.call.elapsed()?;
        let now = Instant::now();
        // What began long ago ended in the past: which past, nobody asks.
        Some(now.checked_sub(elapsed).map_or(now, |began| began + self.deadline))
    }

    /// Begins to answer questions about the processes of a round, until the guard goes.
    pub(crate) fn open_desk(&self, round: &Arc<PluginRound>) -> OpenDesk<'_> {
        if let Some(mut desk) = self.desk() {
            desk.open(round);
        }
        OpenDesk(self)
    }

    /// From now on only these variables of the tasks' environments are handed out.
    pub(crate) fn hand_out_only(&self, variables: &[String]) {
        if let Some(mut desk) = self.desk() {
            *desk = Desk::new(Variables::Named(variables.to_vec()));
        }
    }

    /// A fact about a process of the round under way.
    pub(crate) fn answer(&self, pid: u32, question: &Question) -> Option<Fact> {
        match &self.outlet {
            Outlet::Host { .. } => self.desk()?.answer(pid, question),
            Outlet::Runner(upward) => upward.ask(self.call, pid, question.clone()),
        }
    }

    fn desk(&self) -> Option<MutexGuard<'_, Desk>> {
        match &self.outlet {
            Outlet::Host { desk, .. } => Some(desk.lock().unwrap_or_else(PoisonError::into_inner)),
            Outlet::Runner(_) => None,
        }
    }

    /// Gives a fresh allowance of log records; returns how many were dropped of the last one.
    pub(crate) fn renew_allowance(&self) -> u32 {
        self.records.swap(0, Ordering::Relaxed).saturating_sub(RECORDS_PER_ROUND)
    }

    /// Counts records that were dropped before they came here.
    pub(crate) fn count_lost_records(&self, lost: u32) {
        if lost > 0 {
            let counted = |n: u32| Some(n.max(RECORDS_PER_ROUND).saturating_add(lost));
            let _ = self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        }
    }

    /// Takes a record: `message` begins with the place that it comes from.
    pub(crate) fn say(&self, level: u32, message: &str) {
        let before = self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        if !before.is_ok_and(|written| written < RECORDS_PER_ROUND) {
            return;
        }
        let level = if (1..=5).contains(&level) { level as u8 } else { 3 };
        let message = words(message);
        match &self.outlet {
            Outlet::Host { slot, generation, messages, .. } => {
                let (slot, generation) = (*slot, *generation);
                let _ = messages.send(Message::Log { slot, generation, level, message });
            }
            Outlet::Runner(upward) => upward.say(level, &message),
        }
    }
}

/// A call under way.
pub(crate) struct CallMark<'c>(&'c Context);

impl Drop for CallMark<'_> {
    fn drop(&mut self) {
        match &self.0.outlet {
            Outlet::Host { .. } => self.0.call.end(),
            // Not in the midst of a question: its answer must not be taken for the next order.
            Outlet::Runner(upward) => upward.between_questions(|| self.0.call.end()),
        }
    }
}

/// A round whose processes are asked about.
pub(crate) struct OpenDesk<'c>(&'c Context);

impl Drop for OpenDesk<'_> {
    fn drop(&mut self) {
        if let Some(mut desk) = self.0.desk() {
            desk.close();
        }
    }
}

/// A plugin's words as they are passed on: at most 4096 bytes in one line, with blanks for what would steer a terminal
/// (control characters, and those that turn the direction of writing or break a line).
pub(crate) fn words(claimed: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    let head = &claimed[..claimed.floor_char_boundary(WORDS_BYTES)];
    head.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

fn services() -> HostServicesRef {
    static SERVICES: OnceLock<HostServicesRef> = OnceLock::new();
    *SERVICES.get_or_init(|| {
        HostServices { log, remaining_ns, process_number, process_text, process_environment }
            .leak_into_prefix()
    })
}

/// The instance that a service is called for.
fn context<'c>(pointer: *mut ()) -> &'c Context {
    // SAFETY: the plugin hands back the pointer of `Context::handle`, which is leaked and only shared.
    unsafe { &*pointer.cast::<Context>() }
}

extern "C" fn log(pointer: *mut (), level: LogLevelId, target: RStr<'_>, message: RStr<'_>) {
    // Whoever writes 1 GB may not have all of it read.
    let head = |claimed: RStr<'_>, bytes: usize| {
        let bytes = &claimed.as_str().as_bytes()[..claimed.len().min(bytes)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    let message = format!("{}: {}", head(target, 200), head(message, WORDS_BYTES));
    context(pointer).say(level.0, &message);
}

extern "C" fn remaining_ns(pointer: *mut ()) -> u64 {
    let Some(end) = context(pointer).call_ends() else { return NO_DEADLINE };
    u64::try_from(end.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(NO_DEADLINE)
}

extern "C" fn process_number(pointer: *mut (), pid: u32, id: FactId) -> ROption<f64> {
    match context(pointer).answer(pid, &Question::Number(id.0)) {
        Some(Fact::Number(number)) => ROption::RSome(number),
        Some(Fact::Text(_)) | None => ROption::RNone,
    }
}

extern "C" fn process_text(pointer: *mut (), pid: u32, id: TextId, sink: ByteSink) -> bool {
    push(context(pointer).answer(pid, &Question::Text(id.0)), sink)
}

extern "C" fn process_environment(pointer: *mut (), pid: u32, name: RStr<'_>, sink: ByteSink) -> bool {
    // No variable's name is longer, and none is looked for.
    name.len() <= WORDS_BYTES
        && push(context(pointer).answer(pid, &Question::Environment(text(name).into_owned())), sink)
}

fn push(fact: Option<Fact>, sink: ByteSink) -> bool {
    let Some(Fact::Text(bytes)) = fact else { return false };
    (sink.push)(sink.context, bytes.as_slice().into());
    true
}

#[cfg(test)]
mod tests {
    use super::{Context, RECORDS_PER_ROUND, WORDS_BYTES, log, remaining_ns, words};
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
    fn words_are_one_short_line_that_steers_no_terminal() {
        assert_eq!(words("\u{1b}]0;title\u{7}red\u{9b}31m\nnext\u{202e}line"), " ]0;title red 31m next line");
        assert_eq!(words("größer als 5 €"), "größer als 5 €");
        let long = words(&"€".repeat(WORDS_BYTES));
        assert!(long.len() <= WORDS_BYTES && long.len() > WORDS_BYTES - 3, "{}", long.len());
    }

    #[test]
    fn a_talkative_plugin_is_cut_short() {
        let (sender, messages) = channel();
        let context = Context::leak((7, 2), Duration::from_secs(1), sender);
        let long = "ü".repeat(WORDS_BYTES);
        for _ in 0..RECORDS_PER_ROUND + 50 {
            log(context.handle().context, LogLevelId(99), "t".into(), long.as_str().into());
        }
        let received: Vec<Message> = messages.try_iter().collect();
        assert_eq!(received.len(), RECORDS_PER_ROUND as usize);
        assert!(received.iter().all(|message| matches!(
            message,
            Message::Log { slot: 7, generation: 2, level: 3, message } if message.len() <= WORDS_BYTES
        )));
        assert_eq!(context.renew_allowance(), 50);
        context.count_lost_records(7);
        assert_eq!(context.renew_allowance(), 7);
    }
}
