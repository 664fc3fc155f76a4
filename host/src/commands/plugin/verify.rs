//! `plugin verify`: whether a host that trusts these keys would load a library.

use std::sync::Arc;

use orchestrator_core::config::model;
use orchestrator_plugin_host::{Trust, VerifiedFile};
use serde_json::json;

use crate::cli::VerifyArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Asks the rules of a run, with a signature required.
pub(super) fn verify(args: &VerifyArgs, session: &Session) -> Result<Exit, Failure> {
    let rules = model::Trust { require_signature: true, keys: args.key.clone(), ..model::Trust::default() };
    let trust = Arc::new(Trust::new(&rules).map_err(Failure::PublicKey)?);
    let verified =
        VerifiedFile::open(&args.file, &trust).map_err(|problem| Failure::PluginFile(problem.to_string()))?;
    let file = verified.file();
    if session.json() {
        let (signer, sha256) = (file.signer.to_string(), file.sha256);
        session.print_json(
            &json!({ "file": file.path, "verified": true, "signer": signer, "sha256": sha256 }),
        )?;
    } else {
        let path = file.path.display();
        session.print(&format!("{path}: signed by key {}\nsha256 {}\n", file.signer, file.sha256))?;
    }
    Ok(Exit::Success)
}
