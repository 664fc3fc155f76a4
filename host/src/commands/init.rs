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
    let set = |value: Option<String>, place: &mut String| {
        if let Some(value) = value {
            *place = value;
        }
    };
    set(args.input.as_deref().map(|path| as_typed(path, &args.file)), &mut starter.input);
    set(args.pattern.clone(), &mut starter.pattern);
    set(args.output.as_deref().map(|path| as_typed(path, &args.file)), &mut starter.output);
    set(args.suffix.clone(), &mut starter.suffix);
    starter
}

/// A path means what it meant where it was typed. A configuration's paths begin at its own directory, so that a relative
/// one can stay as it is only where the configuration is written to the working directory.
fn as_typed(path: &str, file: &Path) -> String {
    let here = file.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent == Path::new("."));
    if here {
        return path.to_owned();
    }
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_what_it_meant_where_it_was_typed() {
        assert_eq!(as_typed("in", Path::new("config.yaml")), "in");
        assert_eq!(as_typed("in", Path::new("./config.yaml")), "in");
        assert_eq!(as_typed("/in", Path::new("a/b.yaml")), "/in");
        let here = std::env::current_dir().unwrap();
        assert_eq!(as_typed("in", Path::new("a/b.yaml")), here.join("in").to_string_lossy());
    }
}
