//! `check`: every mistake at once, and the plan; no file is worked on, nothing measured, nothing changed. Plugins are made as a run
//! would make them, to hear what they say about their `config`, and ended.

use std::path::Path;

use orchestrator_core::config::Sources;
use orchestrator_store::{Overview, StateReader, StoreError};
use serde_json::json;

use super::state::now;
use crate::cli::CheckArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::plugins::SearchPath;
use crate::preflight::{self, Depth};
use crate::session::Session;
use crate::style::Style;
use crate::views::words::number;

/// Finds everything that can be known before a run.
pub(super) fn check(args: &CheckArgs, session: &Session) -> Result<Exit, Failure> {
    let loaded = session.load(&args.selection)?;
    let configured = &loaded.config.plugins.directories;
    let search =
        SearchPath::of_this_program(&args.selection.plugins_dir, session.sources.environment(), configured);
    let catalog = search.scan(&loaded.config.plugins.trust)?;
    let found = preflight::check(&loaded, &search, &catalog, Depth::All);
    let plan = found.with_instances(&loaded, &catalog).accept(session)?;
    let before = before(&plan.state)?;
    if session.json() {
        let counts = before.as_ref().map(|overview| overview.counts);
        session.print_json(&json!({ "event": "plan", "plan": plan, "continues": counts }))?;
    } else {
        session.print(&plan.text(Style::PLAIN))?;
        if let Some(overview) = before {
            session.console.line(&continues(&overview));
        }
        session.console.line(&format!("{}: the configuration is sound", session.style().good("ok")));
    }
    Ok(Exit::Success)
}

/// What earlier runs left in the state directory; none if there were none.
fn before(state: &Path) -> Result<Option<Overview>, Failure> {
    match StateReader::open(state).and_then(|reader| reader.overview(now())) {
        Ok(overview) => Ok(Some(overview)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn continues(overview: &Overview) -> String {
    let counts = overview.counts;
    let live =
        overview.live.as_ref().map(|holder| format!("; {holder} is at work there now")).unwrap_or_default();
    format!(
        "a run would continue an earlier one: {} completed, {} failed (tried again with --retry-failed){live}",
        number(counts.completed),
        number(counts.failed)
    )
}
