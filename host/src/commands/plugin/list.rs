//! `plugin list`: the instances as a live run tells of them or as they are configured, and what is found, library by
//! library, without loading one.

use std::path::Path;

use orchestrator_core::config::Sources;
use orchestrator_core::config::model::{Plugin, Plugins};
use orchestrator_plugin_host::{Catalog, PluginKind};
use serde_json::{Value, json};

use super::{class_line, file_json};
use crate::cli::{ListArgs, Selection};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::plugins::{SearchPath, specs};
use crate::report::Report;
use crate::session::Session;
use crate::views::plugins::table;
use crate::views::status_file::Live;

const DEFAULT: &str = "config.yaml";

/// Lists instances, directories, libraries and classes; problems are told one sentence each.
pub(super) fn list(args: &ListArgs, session: &Session) -> Result<Exit, Failure> {
    let config = args.config.clone().or_else(|| Path::new(DEFAULT).exists().then(|| DEFAULT.into()));
    let (configured, state) = match config {
        Some(file) => {
            let selection = Selection { config: Some(file), ..Selection::default() };
            let config = session.load(&selection)?.config;
            let state = config.state_directory();
            (Some(config.plugins), Some(state))
        }
        None => (None, None),
    };
    let asked = args.state_dir.as_deref();
    let live = args.state_dir.clone().or(state).and_then(|state| Live::read(&state));
    let plugins = configured.clone().unwrap_or_default();
    let directories = &plugins.directories;
    let search = SearchPath::of_this_program(&args.plugins_dir, session.sources.environment(), directories);
    let catalog = search.scan(&plugins.trust)?;
    if session.json() {
        let mut value = list_json(&search, &catalog);
        value["live"] = live.is_some().into();
        value["instances"] = match &live {
            Some(live) => json!(live.plugins),
            None => configured.iter().flat_map(|all| configured_json(all, &catalog)).collect(),
        };
        session.print_json(&value)?;
    } else {
        if let Some(live) = &live {
            session.print(&format!("{}\n", table(&live.plugins)))?;
        } else if let Some(plugins) = &configured {
            session.print(&configured_text(plugins, &catalog))?;
        }
        session.print(&list_text(&search, &catalog))?;
    }
    if let (Some(state), None) = (asked, &live) {
        let message = format!("no run is under way in {}, so nothing runs there", state.display());
        session.tell(&Report::warning("plugin", message));
    }
    for problem in catalog.problems().filter(|problem| search.is_told_of(problem)) {
        session.tell(&Report::warning("plugin", problem.to_string()));
    }
    Ok(Exit::Success)
}

/// Both lists of the configuration, with their kinds.
fn entries(plugins: &Plugins) -> impl Iterator<Item = (PluginKind, &Plugin)> {
    let metrics = plugins.metrics.iter().map(|entry| (PluginKind::Metrics, entry));
    metrics.chain(plugins.capacity.iter().map(|entry| (PluginKind::Capacity, entry)))
}

fn configured_json(plugins: &Plugins, catalog: &Catalog) -> Vec<Value> {
    let specs = specs(plugins, catalog);
    let one = |(kind, entry): (PluginKind, &Plugin)| {
        let file = catalog.resolve(kind, &entry.class);
        let spec = specs.iter().find(|spec| spec.kind == kind && spec.name == entry.name);
        json!({
            "instance": entry.name,
            "kind": kind.to_string(),
            "class": entry.class,
            "enabled": entry.enabled,
            "isolation": spec.map(|spec| spec.isolation),
            "library": file.as_ref().ok().map(|file| file_json(file)),
            "problem": file.err().map(|error| error.to_string()),
        })
    };
    entries(plugins).map(one).collect()
}

fn configured_text(plugins: &Plugins, catalog: &Catalog) -> String {
    let mut text = String::from("Configured; nothing runs:\n");
    for (kind, entry) in entries(plugins) {
        let state = if entry.enabled { "" } else { " (enabled: false)" };
        let library = match catalog.resolve(kind, &entry.class) {
            Ok(file) => format!("{} {}", file.descriptor.name, file.descriptor.version),
            Err(error) => error.to_string(),
        };
        text.push_str(&format!(
            "  {:<9} {}{state}  {}: {library}\n",
            kind.to_string(),
            entry.name,
            entry.class
        ));
    }
    if entries(plugins).next().is_none() {
        text.push_str("  none\n");
    }
    text + "\n"
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
