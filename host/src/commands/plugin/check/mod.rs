//! `plugin check`: everything that can be known about a library before somebody relies on it.
//!
//! Nothing of the library runs in this process: what it does, it does to a process of its own.
//!
//! To add a check: a function in the file of its subject that ends in one [`Findings`] call, and its line in [`class`].

mod answers;
mod calls;
mod configs;
mod leaks;
mod library;
mod report;
mod sandbox;
mod wrongs;

use std::time::Duration;

use orchestrator_plugin_host::{Catalog, ClassDescriptor, PluginKind};
use serde_json::{Map, Value, json};

use super::subject::{AuthorError, Subject};
use crate::cli::PluginCheckArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;
pub(super) use calls::micros;
use report::{Findings, Verdict};

/// Checks the library and prints what was found.
pub(super) fn check(args: &PluginCheckArgs, session: &Session) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    if library::check(&args.file, &mut findings).is_some() && library::trial(&args.file, &mut findings) {
        let subject = Subject::open(&args.file, args.config.as_deref())?;
        let budget = args.budget_us.map(Duration::from_micros);
        let chosen = args.class.as_deref().map(|class| subject.class(Some(class))).transpose()?;
        let wanted = |class: &&ClassDescriptor| chosen.is_none_or(|chosen| chosen.class == class.class);
        for description in subject.classes().filter(wanted) {
            findings.about(&description.class);
            let given = subject.config(description);
            class(&subject.catalog, description, given, budget, &mut findings)
                .map_err(AuthorError::Machine)?;
        }
    }
    if session.json() {
        let verdict = findings.verdict();
        session.print_json(&json!({ "file": args.file, "verdict": verdict, "findings": findings.all }))?;
    } else {
        session.print(&format!("{}\n{}", args.file.display(), findings.text(session.style())))?;
    }
    let good = match findings.verdict() {
        Verdict::Pass => true,
        Verdict::Warn => !args.strict,
        Verdict::Fail => false,
    };
    Ok(if good { Exit::Success } else { Exit::Unavailable })
}

fn class(
    catalog: &Catalog,
    class: &ClassDescriptor,
    given: Option<Map<String, Value>>,
    budget: Option<Duration>,
    findings: &mut Findings,
) -> std::io::Result<()> {
    let Some(config) = configs::right(catalog, class, given, findings) else { return Ok(()) };
    configs::fuzz(catalog, class, &config, findings);
    if class.kind == PluginKind::Capacity {
        return answers::check(catalog, class, &config, budget, findings);
    }
    match calls::check(catalog, class, &config, budget, findings)? {
        Some(seen) => sandbox::check(catalog, class, &config, &seen, findings),
        None => Ok(()),
    }
}
