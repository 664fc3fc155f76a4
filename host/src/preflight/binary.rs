//! The binary: there, a file, executable, and so is the interpreter that a script names.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use orchestrator_core::config::Config;
use orchestrator_core::config::nearest::nearest;
use orchestrator_core::plan::template::Template;
use rustix::fs::{Access, access};

use super::Findings;
use crate::exit::Exit;

const KEY: &str = "binary.path";

/// Checks the binary and the directory it starts in; its full path when it can be started.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) -> Option<PathBuf> {
    working_directory(config, findings);
    validation_command(config, findings);
    let named = &config.binary.path;
    let program = match find_program(named) {
        Ok(program) => program,
        Err(tried) => {
            let help =
                nearest_file(named).map(|near| format!("did you mean {}?", near.display())).unwrap_or(tried);
            let message = format!("{} does not exist", named.display());
            findings.error(Exit::Config, KEY, &message, Some(help));
            return None;
        }
    };
    match unusable(&program) {
        None => Some(program),
        Some((what, help)) => {
            findings.error(Exit::Config, KEY, &format!("{} {what}", program.display()), help);
            None
        }
    }
}

/// The program of `output.validation.command` must be there: otherwise every result would be refused.
fn validation_command(config: &Config, findings: &mut Findings<'_>) {
    const KEY: &str = "output.validation.command";
    let Some(program) = config.output.validation.command.first() else { return };
    let named = Path::new(program.source());
    match find_program(named) {
        Err(tried) => {
            findings.error(Exit::Config, KEY, &format!("{} does not exist", named.display()), Some(tried));
        }
        Ok(program) => {
            if let Some((what, help)) = unusable(&program) {
                findings.error(Exit::Config, KEY, &format!("{} {what}", program.display()), help);
            }
        }
    }
}

/// The file that a program's name stands for: a name without a slash is looked up in PATH, as the shell does.
///
/// # Errors
/// It is nowhere; where it was looked for, as a hint.
fn find_program(named: &Path) -> Result<PathBuf, String> {
    if named.as_os_str().as_encoded_bytes().contains(&b'/') {
        return named
            .exists()
            .then(|| named.to_owned())
            .ok_or_else(|| "check the path, or install it".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|directory| directory.join(named))
        .filter(|path| path.is_file())
        .collect();
    let executable = candidates.iter().find(|path| access(*path, Access::EXEC_OK).is_ok());
    executable.or(candidates.first()).cloned().ok_or_else(|| {
        format!(
            "it is in no directory of PATH ({}): install it, or write its full path",
            path.to_string_lossy()
        )
    })
}

/// Why a file that exists cannot be started, and what to do.
fn unusable(program: &Path) -> Option<(String, Option<String>)> {
    let data = match fs::metadata(program) {
        Ok(data) => data,
        Err(error) => return Some((format!("cannot be looked at: {error}"), None)),
    };
    if data.is_dir() {
        return Some(("is a directory, not a program".to_owned(), None));
    }
    if !data.is_file() {
        return Some(("is not a regular file".to_owned(), None));
    }
    if let Err(error) = access(program, Access::EXEC_OK) {
        let help = format!("chmod +x {}", crate::cli::shell_word(&program.to_string_lossy()));
        return Some((format!("is not executable: {}", io::Error::from(error)), Some(help)));
    }
    let interpreter = interpreter(program)?;
    let missing = access(&interpreter, Access::EXEC_OK).err()?;
    let what = format!("names the interpreter {}: {}", interpreter.display(), io::Error::from(missing));
    Some((what, Some("correct its first line, or install the interpreter".to_owned())))
}

/// The interpreter in the first line of a script, if it is one.
fn interpreter(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())?;
    Some(PathBuf::from(std::str::from_utf8(word).ok()?))
}

/// The file of the same directory whose name is most like it.
fn nearest_file(named: &Path) -> Option<PathBuf> {
    let directory = named.parent().filter(|parent| !parent.as_os_str().is_empty())?;
    let entries = fs::read_dir(directory).ok()?.flatten();
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(named.file_name().and_then(OsStr::to_str)?, names.iter().map(String::as_str))?;
    let path = directory.join(near);
    (path.is_file() && access(&path, Access::EXEC_OK).is_ok()).then_some(path)
}

/// A working directory that is the same for all attempts has to exist.
fn working_directory(config: &Config, findings: &mut Findings<'_>) {
    let Some(fixed) = config.binary.working_directory.as_ref().and_then(literal) else { return };
    if !Path::new(&fixed).is_dir() {
        let message = format!("{fixed} is not a directory");
        findings.error(
            Exit::Config,
            "binary.working_directory",
            &message,
            Some("make it, or correct it".to_owned()),
        );
    }
}

/// The text of a template that names no placeholder.
fn literal(template: &Template) -> Option<String> {
    let plain = template.source().replace("{{", "\u{1}").replace("}}", "\u{2}");
    (!plain.contains(['{', '}'])).then(|| plain.replace('\u{1}', "{").replace('\u{2}', "}"))
}
