//! `init`: a commented configuration to begin with, and the JSON Schema that it refers to.

use std::fs;
use std::path::Path;

use orchestrator_core::config::{self, Starter, template_yaml};

use crate::cli::{InitArgs, shell_word};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Writes both; refuses to replace a configuration unless told to.
pub(super) fn init(args: &InitArgs, session: &Session) -> Result<Exit, Failure> {
    if args.file.exists() && !args.force {
        return Err(Failure::Exists(args.file.clone()));
    }
    let starter = starter(args);
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Failure::file("make", parent))?;
    let schema = parent.join(&starter.schema);
    let text = super::schema::text();
    fs::write(&schema, text).map_err(Failure::file("write", &schema))?;
    fs::write(&args.file, template_yaml(&starter)).map_err(Failure::file("write", &args.file))?;
    let file = shell_word(&args.file.to_string_lossy());
    session.console.line(&format!(
        "wrote {} and {}\nnext: edit it, then orchestrator check {file} and orchestrator run {file}",
        args.file.display(),
        schema.display()
    ));
    Ok(Exit::Success)
}

fn starter(args: &InitArgs) -> Starter {
    let mut starter = Starter::default();
    if let Some((program, flags)) = args.command.split_first() {
        let writes = flags.iter().any(|flag| flag.contains("{output_file}"));
        starter.binary = program.clone();
        starter.flags = flags.to_vec();
        starter.stdout = (!writes).then(|| "{output_file}".to_owned());
        starter.suffix = config::Config::default().output.file_suffix;
        if !flags.iter().any(|flag| flag.contains("{input_")) {
            starter.flags.push("{input_file}".to_owned());
        }
    }
    let set = |value: &Option<String>, place: &mut String| {
        if let Some(value) = value {
            place.clone_from(value);
        }
    };
    set(&args.input, &mut starter.input);
    set(&args.pattern, &mut starter.pattern);
    set(&args.output, &mut starter.output);
    set(&args.suffix, &mut starter.suffix);
    starter
}
