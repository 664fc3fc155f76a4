//! What the control law learned, kept in the state directory from run to run.

use std::path::Path;

use orchestrator_core::capacity::control::ControlState;
use orchestrator_core::config::Config;
use orchestrator_core::config::model::Learn;
use orchestrator_store::learned;
use serde::{Deserialize, Serialize};

/// The version of what is written; another one is not understood and begins anew.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Piece {
    version: u32,
    control: ControlState,
}

/// What earlier runs of this program with these flags learned, if it is wanted and there is any.
pub(crate) fn load(config: &Config, directory: &Path, key: &str) -> Option<ControlState> {
    if config.learn != Learn::AcrossRuns {
        return None;
    }
    let piece: Piece = serde_json::from_slice(&learned::load(directory, key)?).ok()?;
    (piece.version == VERSION).then_some(piece.control)
}

/// Keeps what was learned. A run is not worth less because this could not be written: it is told and that is all.
pub(crate) fn save(config: &Config, directory: &Path, key: &str, control: Option<ControlState>) {
    let Some(control) = control.filter(|_| config.learn == Learn::AcrossRuns) else { return };
    if control.completed.is_empty() {
        return;
    }
    let Ok(piece) = serde_json::to_vec(&Piece { version: VERSION, control }) else { return };
    if let Err(error) = learned::save(directory, key, &piece) {
        tracing::warn!("what was learned cannot be kept for later runs: {error}");
    }
}
