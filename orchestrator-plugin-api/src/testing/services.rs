//! The host services as the fake host answers them.

use super::host::{Book, Record};
use crate::LogLevel;
use crate::abi::{
    ByteSink, FactId, HostHandle, HostServices, HostServicesRef, LogLevelId, NO_DEADLINE, TextId,
};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{ROption, RStr};
use std::sync::{MutexGuard, OnceLock, PoisonError};

/// The handle of an instance on this host. The book is leaked, since a thread of the plugin's may outlive the test.
pub(super) fn handle(book: &'static Book) -> HostHandle {
    static SERVICES: OnceLock<HostServicesRef> = OnceLock::new();
    let services = *SERVICES.get_or_init(|| {
        HostServices { log, remaining_ns, process_number, process_text, process_environment }
            .leak_into_prefix()
    });
    HostHandle { services, context: std::ptr::from_ref(book).cast_mut().cast() }
}

fn book<'b>(context: *mut ()) -> MutexGuard<'b, super::host::Entries> {
    // SAFETY: the plugin's side hands back the pointer of `handle`, which is leaked and only shared.
    let book: &'static Book = unsafe { &*context.cast::<Book>() };
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn log(context: *mut (), level: LogLevelId, target: RStr<'_>, message: RStr<'_>) {
    let level = match level {
        LogLevelId::ERROR => LogLevel::Error,
        LogLevelId::WARN => LogLevel::Warn,
        LogLevelId::DEBUG => LogLevel::Debug,
        LogLevelId::TRACE => LogLevel::Trace,
        _ => LogLevel::Info,
    };
    let record = Record { level, target: target.as_str().to_owned(), message: message.as_str().to_owned() };
    book(context).records.push(record);
}

extern "C" fn remaining_ns(context: *mut ()) -> u64 {
    let remaining = book(context).remaining;
    remaining.map_or(NO_DEADLINE, |time| u64::try_from(time.as_nanos()).unwrap_or(NO_DEADLINE))
}

extern "C" fn process_number(context: *mut (), pid: u32, id: FactId) -> ROption<f64> {
    book(context).facts.numbers.get(&(pid, id.0)).copied().into()
}

extern "C" fn process_text(context: *mut (), pid: u32, id: TextId, sink: ByteSink) -> bool {
    answer(book(context).facts.texts.get(&(pid, id.0)), sink)
}

extern "C" fn process_environment(context: *mut (), pid: u32, name: RStr<'_>, sink: ByteSink) -> bool {
    answer(book(context).facts.environment.get(&(pid, name.as_str().to_owned())), sink)
}

fn answer(bytes: Option<&Vec<u8>>, sink: ByteSink) -> bool {
    let Some(bytes) = bytes else { return false };
    (sink.push)(sink.context, bytes.as_slice().into());
    true
}
