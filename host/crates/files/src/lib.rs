//! Input scans, private outputs, validation facts and atomic publication.
