//! `plugin list`: what is found, library by library, without loading one.

use std::path::Path;

use orchestrator_core::config::Sources;
use orchestrator_core::config::model::Plugins;
use orchestrator_plugin_host::Catalog;
use serde_json::{Value, json};

use super::{class_line, file_json};
use crate::cli::{ListArgs, Selection};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::plugins::SearchPath;
use crate::report::Report;
use crate::session::Session;

const DEFAULT: &str = "config.yaml";

/// Lists directories, libraries and classes; problems are told one sentence each.
pub(super) fn list(args: &ListArgs, session: &Session) -> Result<Exit, Failure> {
    let config = args.config.clone().or_else(|| Path::new(DEFAULT).exists().then(|| DEFAULT.into()));
    let configured = match config {
        Some(file) => {
            let selection = Selection { config: Some(file), ..Selection::default() };
            session.load(&selection)?.config.plugins
        }
        None => Plugins::default(),
    };
    let directories = &configured.directories;
    let search = SearchPath::of_this_program(&args.plugins_dir, session.sources.environment(), directories);
    let catalog = search.scan(&configured.trust)?;
    if session.json() {
        session.print_json(&list_json(&search, &catalog))?;
    } else {
        session.print(&list_text(&search, &catalog))?;
    }
    for problem in catalog.problems().filter(|problem| search.concerns(problem)) {
        session.tell(&Report::warning("plugin", problem.to_string()));
    }
    Ok(Exit::Success)
}

fn list_text(search: &SearchPath, catalog: &Catalog) -> String {
    let mut text = String::from("Directories, in the order of their search:\n");
    for (path, by) in &search.0 {
        text.push_str(&format!("  {} ({})\n", path.display(), by.words()));
    }
    if search.0.is_empty() {
        text.push_str("  none; name one with --plugins-dir\n");
    }
    if catalog.files().is_empty() {
        return text + "\nNo plugin library is there.\n";
    }
    for file in catalog.files() {
        let about = &file.descriptor;
        text.push_str(&format!(
            "\n{}\n  {} {}, contract {}, signer {}\n",
            file.path.display(),
            about.name,
            about.version,
            about.api,
            file.signer
        ));
        for class in &about.classes {
            let used = catalog.resolve(class.kind, &class.class).is_ok_and(|used| used.path == file.path);
            text.push_str(&class_line(class, used));
        }
    }
    text
}

fn list_json(search: &SearchPath, catalog: &Catalog) -> Value {
    let directories = search.0.iter().map(|(path, by)| json!({ "path": path, "named_by": by.words() }));
    json!({
        "directories": directories.collect::<Vec<_>>(),
        "libraries": catalog.files().iter().map(file_json).collect::<Vec<_>>(),
        "problems": catalog.problems().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
