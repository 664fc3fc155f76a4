//! Inspect, verify, load and call plugin libraries.
