//! Panics of a plugin: caught at the boundary, told to the host, never printed on its terminal.

use crate::author::host::LogLevel;
use crate::author::host::log;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook of this library's own copy of the standard library; once.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(hook)));
}

/// Runs `call`; a panic in it becomes `Err` with its message and place.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let told = LAST.take().unwrap_or_else(|| message_of(payload.as_ref()));
        // A payload's destructor is foreign code that may panic again: better to leak it.
        std::mem::forget(payload);
        told
    })
}

/// In a guarded call the message travels with the fault; elsewhere (a thread of the plugin's own) it is
/// logged, since nobody else would tell.
fn hook(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let told = format!("{}{place}", message_of(info.payload()));
    let guarded = GUARDED.try_with(Cell::get).unwrap_or(false);
    if guarded {
        let _ = LAST.try_with(|last| last.replace(Some(told)));
    } else {
        log(LogLevel::Error, "panic", &told);
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
