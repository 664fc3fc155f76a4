//! What the loop tells people, sentence by sentence.

use std::time::Duration;

use orchestrator_core::{AttemptId, Bytes};

pub(crate) const DRAINING: &str =
    "draining: running processes may end, nothing new is started; once more to stop them";
pub(crate) const STOPPING: &str = "stopping what runs; once more to leave at once";
pub(crate) const RELOADED: &str = "configuration read again";

pub(crate) fn leaked(name: &str) -> String {
    format!(
        "leak: {name} left processes behind, or its output pipes open (timeouts.on_leak decides what it means)"
    )
}

pub(crate) fn missing(count: u64) -> String {
    format!("{count} unfinished inputs of earlier runs were not found; they stay as they are")
}

pub(crate) fn slow(attempt: AttemptId, running_for: Duration) -> String {
    format!("attempt {attempt} has run for {:.0} s already", running_for.as_secs_f64())
}

pub(crate) fn space(needed: Bytes, room: Bytes) -> String {
    format!("the outputs of what is left will need about {needed}; {room} are left below the threshold")
}

/// A plugin's own words, in the log; `level` as the plugin interface counts them.
pub(crate) fn said(plugin: &str, level: u8, message: &str) {
    match level {
        1 => tracing::error!(plugin, "{message}"),
        2 => tracing::warn!(plugin, "{message}"),
        3 => tracing::info!(plugin, "{message}"),
        4 => tracing::debug!(plugin, "{message}"),
        _ => tracing::trace!(plugin, "{message}"),
    }
}
