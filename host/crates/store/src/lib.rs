//! Durable state in SQLite: records, locks, retention, history.
