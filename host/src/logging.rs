//! Log lines of the program itself: on standard error, never torn by the progress block.

use orchestrator_core::config::model::{LogFormat, LogLevel, Logging};
use tracing::level_filters::LevelFilter;

use crate::cli::Level;
use crate::session::Session;

/// Begins logging as flags and configuration say; `--log-level` stands above `logging.level`. A second call changes
/// nothing.
pub(crate) fn begin(session: &Session, logging: &Logging) {
    let level = session.globals.log_level.map_or_else(|| of_config(logging.level), of_flag);
    let layer = tracing_subscriber::fmt().with_max_level(level).with_writer(session.console.clone());
    let begun = match logging.format {
        LogFormat::Json => layer.json().flatten_event(true).try_init(),
        LogFormat::Human => layer
            .with_ansi(session.style().colour())
            .with_target(level >= LevelFilter::DEBUG)
            .compact()
            .try_init(),
    };
    // Only a second call fails, and the first one's settings stand.
    drop(begun);
}

fn of_flag(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

fn of_config(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
