//! The chores of this repository: demo, test, lint, bench.
fn main() {}
