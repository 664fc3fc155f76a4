//! `check`: every mistake at once, and the plan; nothing is started, nothing changed.

use serde_json::json;

use crate::cli::CheckArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::plugins::SearchPath;
use crate::preflight::{self, Depth};
use crate::session::Session;
use orchestrator_core::config::Sources;

/// Finds everything that can be known without a start.
pub(super) fn check(args: &CheckArgs, session: &Session) -> Result<Exit, Failure> {
    let loaded = session.load(&args.selection)?;
    let configured = &loaded.config.plugins.directories;
    let search =
        SearchPath::of_this_program(&args.selection.plugins_dir, session.sources.environment(), configured);
    let plan = preflight::check(&loaded, &search, &search.scan(), Depth::All).accept(session)?;
    if session.json() {
        session.print_json(&json!({ "event": "plan", "plan": plan }))?;
    } else {
        session.print(&plan.text(crate::style::Style::PLAIN))?;
        session.console.line(&format!("{}: the configuration is sound", session.style().good("ok")));
    }
    Ok(Exit::Success)
}
