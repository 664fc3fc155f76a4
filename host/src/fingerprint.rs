//! What makes two runs the same work.

use std::fs::File;
use std::path::Path;

use orchestrator_core::config::Config;

/// Hashes that a state is keyed by; blake3, hexadecimal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprints {
    /// What decides about results: the binary's content, its templates, where input and output lie. A task completed
    /// by another command is new work.
    pub(crate) command: String,
    /// The binary's content and its flags: a baseline measured for others does not count.
    pub(crate) calibration: String,
    /// The whole configuration.
    pub(crate) config: String,
}

impl Fingerprints {
    /// Reads the binary and hashes.
    ///
    /// # Errors
    /// The binary cannot be read.
    pub(crate) fn of(config: &Config, program: &Path) -> std::io::Result<Self> {
        let mut binary = blake3::Hasher::new();
        std::io::copy(&mut File::open(program)?, &mut binary)?;
        let with = |parts: serde_json::Value| {
            let mut hasher = binary.clone();
            hasher.update(parts.to_string().as_bytes());
            hasher.finalize().to_hex().to_string()
        };
        let input = &config.input.files_directory;
        let output = &config.output;
        Ok(Self {
            command: with(serde_json::json!([config.binary, input, output.directory, output.file_suffix])),
            calibration: with(serde_json::json!([config.binary.flags, config.binary.shell])),
            config: with(serde_json::json!(config)),
        })
    }
}
