//! `plugin inspect`: what one library says about itself, and whether it loads.

use std::path::Path;

use orchestrator_plugin_host::{Library, PluginFile, Probe, probe_here};

use super::{class_line, file_json};
use crate::cli::InspectArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

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
pub(in crate::commands) fn probe(file: &Path, session: &Session) -> Exit {
    match probe_here(file) {
        Ok(()) => Exit::Success,
        Err(problem) => {
            session.console.line(&problem.fault.to_string());
            Exit::Unavailable
        }
    }
}
