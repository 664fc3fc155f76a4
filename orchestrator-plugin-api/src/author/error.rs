//! Errors as an author writes them.

use crate::abi::{Fault, FaultCode};
use abi_stable::std_types::RString;
use std::fmt;
use std::time::Duration;

/// What a plugin's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of error it is: it decides what the host does about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorCode {
    /// Anything without a category of its own.
    Other,
    /// The configuration of the instance is wrong.
    Config,
    /// Something outside is not there at present.
    Unavailable,
    /// The machine lacks what the plugin needs.
    Unsupported,
}

impl From<ErrorCode> for FaultCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Other => Self::OTHER,
            ErrorCode::Config => Self::CONFIG,
            ErrorCode::Unavailable => Self::UNAVAILABLE,
            ErrorCode::Unsupported => Self::UNSUPPORTED,
        }
    }
}

/// An error of a plugin: a category and one sentence.
///
/// `?` turns every standard error into one of category [`ErrorCode::Other`]. "No data" is no error: return
/// empty [`Metrics`](crate::Metrics).
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    retry_after: Duration,
    message: String,
}

impl Error {
    /// An error of the given category.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, retry_after: Duration::ZERO, message: message.into() }
    }

    /// An error in the instance's configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Config, message)
    }

    /// Something outside is not there at present.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// Advises the host when another try may succeed; whole milliseconds, at most 49 days.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = after;
        self
    }

    /// The category.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

// `Error` is no `std::error::Error` itself, so that every standard error converts by `?`.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(ErrorCode::Other, message)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self {
            code: error.code.into(),
            retry_after_ms: u32::try_from(error.retry_after.as_millis()).unwrap_or(u32::MAX),
            message: RString::from(error.message),
        }
    }
}
