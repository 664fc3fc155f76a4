//! `plugin …`: one file a command.

mod bench;
mod check;
mod inspect;
mod keygen;
mod keys;
mod list;
mod new;
mod reload;
mod rig;
mod run;
mod sign;
mod subject;
mod verify;

use orchestrator_plugin_host::{ClassDescriptor, PluginFile};
use serde_json::{Value, json};

use crate::cli::PluginCommand;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

pub(super) use inspect::probe;
pub(crate) use keys::KeyError;
pub(crate) use new::NewPluginError;
pub(crate) use reload::ReloadError;
pub(crate) use run::interval;
pub(crate) use subject::AuthorError;

/// Does what was typed.
///
/// # Errors
/// Whatever keeps the command from its work.
pub(super) fn dispatch(command: PluginCommand, session: &Session) -> Result<Exit, Failure> {
    match command {
        PluginCommand::List(args) => list::list(&args, session),
        PluginCommand::Reload(args) => reload::reload(&args, session),
        PluginCommand::Inspect(args) => inspect::inspect(&args, session),
        PluginCommand::New(args) => new::new(&args, session),
        PluginCommand::Check(args) => check::check(&args, session),
        PluginCommand::Run(args) => run::run(&args, session),
        PluginCommand::Bench(args) => bench::bench(&args, session),
        PluginCommand::Keygen(args) => keygen::keygen(&args, session),
        PluginCommand::Sign(args) => sign::sign(&args, session),
        PluginCommand::Verify(args) => verify::verify(&args, session),
    }
}

/// `  metrics   SystemMetricsCollector  CPU and memory of …`.
fn class_line(class: &ClassDescriptor, used: bool) -> String {
    let note = if used { "" } else { " (not used: another library comes first)" };
    format!("  {:<9} {}{note}  {}", class.kind.to_string(), class.class, class.about).trim_end().to_owned()
        + "\n"
}

fn file_json(file: &PluginFile) -> Value {
    let mut value = json!(file.descriptor);
    value["path"] = json!(file.path);
    value["size"] = file.size.into();
    value["blake3"] = file.hash.to_hex().as_str().into();
    value["sha256"] = json!(file.sha256);
    value["signer"] = file.signer.to_string().into();
    value
}
