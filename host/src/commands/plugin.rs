//! `plugin list`, `plugin inspect`: what libraries say about themselves, without loading them.

use std::path::Path;

use orchestrator_core::config::Sources;
use orchestrator_plugin_host::{Catalog, ClassDescriptor, Library, PluginFile, Probe, probe_here};
use serde_json::{Value, json};

use crate::cli::{InspectArgs, ListArgs, Selection};
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
            session.load(&selection)?.config.plugins.directories
        }
        None => Vec::new(),
    };
    let search = SearchPath::of_this_program(&args.plugins_dir, session.sources.environment(), &configured);
    let catalog = search.scan();
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
            "\n{}\n  {} {}, contract {}\n",
            file.path.display(),
            about.name,
            about.version,
            about.api
        ));
        for class in &about.classes {
            let used = catalog.resolve(class.kind, &class.class).is_ok_and(|used| used.path == file.path);
            text.push_str(&class_line(class, used));
        }
    }
    text
}

/// `  metrics   SystemMetricsCollector  CPU and memory of …`.
fn class_line(class: &ClassDescriptor, used: bool) -> String {
    let note = if used { "" } else { " (not used: another library comes first)" };
    format!("  {:<9} {}{note}  {}", class.kind.to_string(), class.class, class.about).trim_end().to_owned()
        + "\n"
}

fn list_json(search: &SearchPath, catalog: &Catalog) -> Value {
    let directories = search.0.iter().map(|(path, by)| json!({ "path": path, "named_by": by.words() }));
    json!({
        "directories": directories.collect::<Vec<_>>(),
        "libraries": catalog.files().iter().map(file_json).collect::<Vec<_>>(),
        "problems": catalog.problems().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn file_json(file: &PluginFile) -> Value {
    let mut value = json!(file.descriptor);
    value["path"] = json!(file.path);
    value["size"] = file.size.into();
    value["blake3"] = file.hash.to_hex().as_str().into();
    value
}

/// Prints a library's descriptor; with `--load` tries it out in a process of its own.
pub(super) fn inspect(args: &InspectArgs, session: &Session) -> Result<Exit, Failure> {
    let refuse = |problem: &dyn std::fmt::Display| Failure::PluginFile(problem.to_string());
    let file = PluginFile::inspect(&args.file).map_err(|problem| refuse(&problem))?;
    if session.json() {
        session.print_json(&file_json(&file))?;
    } else {
        session.print(&inspect_text(&file))?;
    }
    file.check_compatible().map_err(|problem| refuse(&problem))?;
    if args.load {
        let probe =
            Probe::this_program().map_err(|source| Failure::System { what: "find this program", source })?;
        Library::load(&args.file, Some(&probe)).map_err(|problem| refuse(&problem))?;
        session.console.line(&format!("{}: it loads", session.style().good("ok")));
    }
    Ok(Exit::Success)
}

fn inspect_text(file: &PluginFile) -> String {
    let about = &file.descriptor;
    let mut text = format!(
        "{}\n  package   {} {}\n  contract  {}\n  size      {}\n  blake3    {}\n",
        file.path.display(),
        about.name,
        about.version,
        about.api,
        orchestrator_core::Bytes(file.size),
        file.hash.to_hex(),
    );
    for class in &about.classes {
        text.push_str(&format!("\n{}", class_line(class, true)));
        for metric in &class.metrics {
            text.push_str(&format!("    {} [{}] {}\n", metric.name, metric.unit, metric.help));
        }
        if let Some(schema) = &class.config_schema {
            text.push_str(&format!("    config: {schema}\n"));
        }
    }
    text
}

/// The child's side of a trial load. What goes wrong is the last line of standard error, which the parent reads.
pub(super) fn probe(file: &Path, session: &Session) -> Exit {
    match probe_here(file) {
        Ok(()) => Exit::Success,
        Err(problem) => {
            session.console.line(&problem.fault.to_string());
            Exit::Unavailable
        }
    }
}
