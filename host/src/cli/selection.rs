//! Which configuration is meant: a file, a profile, and flags that stand above it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use orchestrator_core::config::{LoadRequest, Override};
use serde_json::Value;

/// The file that is read when none is named.
pub(crate) const DEFAULT_FILE: &str = "config.yaml";

/// Flags that choose and change a configuration; shared by all commands that need one.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Selection {
    /// Configuration file [default: config.yaml, unless --input or a command is given]
    #[arg(
        value_name = "CONFIG",
        env = "ORCHESTRATOR_CONFIG",
        hide_env_values = true,
        help_heading = "Arguments"
    )]
    pub(crate) config: Option<PathBuf>,

    /// Profile of the file that stands above the rest of it
    #[arg(long, value_name = "NAME", env = "ORCHESTRATOR_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<String>,

    /// Value of a key, such as --set retry.max_attempts=5 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Directory of input files (input.files_directory)
    #[arg(long, value_name = "DIR")]
    pub(crate) input: Option<String>,

    /// Pattern of input file names, such as '*.dat' (input.file_pattern)
    #[arg(long, value_name = "GLOB")]
    pub(crate) pattern: Option<String>,

    /// Look into directories below --input too (input.recursive)
    #[arg(long)]
    pub(crate) recursive: bool,

    /// Directory of results, made if absent (output.directory)
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<String>,

    /// What is appended to an input's name to name its output (output.file_suffix)
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) suffix: Option<String>,

    /// Where standard output of the processes goes (binary.stdout)
    #[arg(long, value_name = "WHERE")]
    pub(crate) stdout: Option<StdoutTo>,

    /// Most processes at a time (concurrency.max)
    #[arg(short = 'j', long = "max-concurrency", value_name = "N")]
    pub(crate) max_concurrency: Option<String>,

    /// Always run -j processes, whatever the machine bears (concurrency.mode: fixed)
    #[arg(long, requires = "max_concurrency")]
    pub(crate) fixed: bool,

    /// Directory of the state [default: .orchestrator in the output directory] (state.directory)
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<String>,

    /// Directory of plugin libraries, searched before all others (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) plugins_dir: Vec<PathBuf>,

    /// Program and arguments for each file, after `--` (binary.path, binary.flags).
    /// Arguments may hold {input_file}, {output_file} and the other placeholders. If none of them names the input,
    /// its path becomes the last argument, as with xargs
    #[arg(last = true, value_name = "CMD", help_heading = "Arguments")]
    pub(crate) command: Vec<String>,
}

/// Where standard output of the processes goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum StdoutTo {
    /// It is the output file
    Output,
    /// It is kept as the attempt's log
    Log,
}

/// Placeholders that tell a command its input.
const NAMES_INPUT: [&str; 4] = ["{input_file}", "{input_name}", "{input_stem}", "{input_dir}"];
/// Placeholders that tell a command where to write.
const NAMES_OUTPUT: [&str; 2] = ["{output_file}", "{output_dir}"];

impl Selection {
    /// What the loader is asked for.
    pub(crate) fn request(&self) -> LoadRequest {
        LoadRequest {
            file: self.file().map(Path::to_owned),
            profile: self.profile.clone(),
            set: self.set.clone(),
            overlay: self.overlay(),
        }
    }

    /// The configuration file: the named one, else `config.yaml` unless flags say what is to be done.
    pub(crate) fn file(&self) -> Option<&Path> {
        let by_flags = self.input.is_some() || !self.command.is_empty();
        let default = || (!by_flags).then_some(Path::new(DEFAULT_FILE));
        self.config.as_deref().or_else(default)
    }

    /// The values that flags give to keys.
    fn overlay(&self) -> Vec<Override> {
        let mut overlay = Vec::new();
        let mut add = |path: &str, flag: &str, value: Value| {
            overlay.push(Override { path: path.to_owned(), value, flag: flag.to_owned() });
        };
        let texts = [
            ("input.files_directory", "--input", &self.input),
            ("input.file_pattern", "--pattern", &self.pattern),
            ("output.directory", "--output", &self.output),
            ("output.file_suffix", "--suffix", &self.suffix),
            ("concurrency.max", "--max-concurrency", &self.max_concurrency),
            ("state.directory", "--state-dir", &self.state_dir),
        ];
        for (path, flag, text) in texts {
            if let Some(text) = text {
                add(path, flag, Value::from(text.as_str()));
            }
        }
        if self.recursive {
            add("input.recursive", "--recursive", Value::Bool(true));
        }
        if self.fixed {
            add("concurrency.mode", "--fixed", Value::from("fixed"));
        }
        if let Some((program, arguments)) = self.command.split_first() {
            add("binary.path", "-- CMD", Value::from(program.as_str()));
            add("binary.flags", "-- CMD", Value::from(with_input(arguments)));
        }
        match self.stdout_goes_to() {
            Some(StdoutTo::Output) => add("binary.stdout", "--stdout", Value::from("{output_file}")),
            Some(StdoutTo::Log) => add("binary.stdout", "--stdout", Value::Null),
            None => {}
        }
        overlay
    }

    /// `--stdout`; without it, a command without a configuration file that is not told where to write is taken to
    /// write its result to standard output.
    fn stdout_goes_to(&self) -> Option<StdoutTo> {
        let told = || self.command.iter().any(|word| NAMES_OUTPUT.iter().any(|name| word.contains(name)));
        let implied = self.config.is_none() && !self.command.is_empty() && !told();
        let said = self.set.iter().any(|set| set.starts_with("binary.stdout"));
        self.stdout.or_else(|| (implied && !said).then_some(StdoutTo::Output))
    }

    /// The words to type so that another command means the same configuration.
    pub(crate) fn typed(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: Option<&str>| {
            if let Some(value) = value {
                words.extend([flag.to_owned(), shell_word(value)]);
            }
        };
        add("--profile", self.profile.as_deref());
        for set in &self.set {
            add("--set", Some(set));
        }
        add("--input", self.input.as_deref());
        add("--pattern", self.pattern.as_deref());
        add("--output", self.output.as_deref());
        add("--suffix", self.suffix.as_deref());
        add("--max-concurrency", self.max_concurrency.as_deref());
        add("--state-dir", self.state_dir.as_deref());
        for directory in &self.plugins_dir {
            add("--plugins-dir", Some(&directory.to_string_lossy()));
        }
        add("--stdout", self.stdout.map(|to| if to == StdoutTo::Output { "output" } else { "log" }));
        words.extend(self.recursive.then(|| "--recursive".to_owned()));
        words.extend(self.fixed.then(|| "--fixed".to_owned()));
        words.extend(self.config.iter().map(|file| shell_word(&file.to_string_lossy())));
        if !self.command.is_empty() {
            words.push("--".to_owned());
            words.extend(self.command.iter().map(|word| shell_word(word)));
        }
        words
    }
}

/// The arguments; with the input's path as the last one if none of them names the input.
fn with_input(arguments: &[String]) -> Vec<String> {
    let named = arguments.iter().any(|word| NAMES_INPUT.iter().any(|name| word.contains(name)));
    arguments.iter().cloned().chain((!named).then(|| "{input_file}".to_owned())).collect()
}

/// A word as a shell has to see it: as it is when it is harmless, between single quotes otherwise.
pub(crate) fn shell_word(word: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(selection: &Selection) -> Vec<(String, Value)> {
        selection.request().overlay.into_iter().map(|one| (one.path, one.value)).collect()
    }

    fn command(words: &[&str]) -> Selection {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Selection { input: Some("in".to_owned()), command, ..Selection::default() }
    }

    #[test]
    fn a_command_that_names_no_input_gets_it_last_and_writes_to_stdout() {
        let found = values(&command(&["xz", "-c"]));
        assert!(found.contains(&("binary.path".to_owned(), "xz".into())));
        assert!(found.contains(&("binary.flags".to_owned(), Value::from(vec!["-c", "{input_file}"]))));
        assert!(found.contains(&("binary.stdout".to_owned(), "{output_file}".into())));
        assert_eq!(command(&["xz"]).file(), None);
    }

    #[test]
    fn a_command_that_names_both_is_left_alone() {
        let found = values(&command(&["cp", "{input_file}", "{output_file}"]));
        assert!(
            found.contains(&("binary.flags".to_owned(), Value::from(vec!["{input_file}", "{output_file}"])))
        );
        assert!(found.iter().all(|(path, _)| path != "binary.stdout"), "{found:?}");
    }

    #[test]
    fn stdout_can_be_sent_to_the_log() {
        let selection = Selection { stdout: Some(StdoutTo::Log), ..command(&["touch"]) };
        assert!(values(&selection).contains(&("binary.stdout".to_owned(), Value::Null)));
    }

    #[test]
    fn the_default_file_is_meant_when_nothing_else_is() {
        assert_eq!(Selection::default().file(), Some(Path::new("config.yaml")));
        let typed = Selection { pattern: Some("*.x".to_owned()), ..command(&["a b"]) }.typed();
        assert_eq!(typed.join(" "), "--input in --pattern '*.x' -- 'a b'");
    }
}
