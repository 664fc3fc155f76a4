//! Seeded chance: a failing test names its seed, and `ORCHESTRATOR_TEST_SEED` repeats it.

use std::time::{SystemTime, UNIX_EPOCH};

/// A `splitmix64` generator (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct Dice {
    /// The seed it started from.
    pub seed: u64,
    state: u64,
}

impl Dice {
    /// Seeds from `ORCHESTRATOR_TEST_SEED`, else from the clock; prints the seed.
    #[must_use]
    pub fn from_environment() -> Self {
        let given = std::env::var("ORCHESTRATOR_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()))
        });
        eprintln!("seed: ORCHESTRATOR_TEST_SEED={seed}");
        Self { seed, state: seed }
    }

    /// A number below `end` (0 if `end` is 0).
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(end).unwrap_or(0)
    }
}
