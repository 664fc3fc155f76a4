//! Small helpers around rusqlite: errors in our words, unsigned numbers in signed columns.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::error::StoreError;

/// Translates an error of the database file at `path`. Whatever says that the content is not what we wrote is
/// damage: so is a missing table, a NULL or a type that the schema does not allow.
pub(crate) fn translate(path: &Path) -> impl Fn(Error) -> StoreError + Copy {
    move |source| {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory,
            ) => StoreError::Database { path, source },
            _ => StoreError::Damaged { path, what: source.to_string() },
        }
    }
}

/// An unsigned number as SQLite stores it; two's complement, so that every value comes back.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The way back of [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}
