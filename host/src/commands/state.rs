//! What `status`, `logs` and `explain` share: whose state is meant, which task, and where its output is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orchestrator_core::config::nearest::nearest;
use orchestrator_core::plan::log_path;
use orchestrator_core::scheduler::InputPath;
use orchestrator_core::{AttemptId, TaskId, Timestamp};
use orchestrator_store::{StateReader, StoreError, TaskRef, TaskView};

use crate::cli::{Selection, StateSelection, shell_word};
use crate::errors::Failure;
use crate::session::Session;
use crate::views::summary::command;

/// Names like the one that was typed, shown at most.
const LIKE: usize = 3;
/// Paths of the same name, shown at most.
const SAME: usize = 8;

/// The state that a selection means.
pub(super) struct State {
    /// Its directory.
    pub(super) directory: PathBuf,
    /// Its records.
    pub(super) reader: StateReader,
    /// Where its inputs lie; unknown where the state was named by its directory alone.
    inputs: Option<PathBuf>,
    /// How the same run is meant on another command line.
    pub(super) way: Way,
}

/// How a run is meant on another command line.
#[derive(Debug, Default)]
pub(super) struct Way {
    typed: Vec<String>,
    /// Whether the words name no configuration, so that `run` cannot be typed with them.
    names_no_configuration: bool,
}

impl Way {
    fn new(selection: &StateSelection) -> Self {
        let by_directory = selection.output.is_some() || selection.state_dir.is_some();
        Self { typed: typed(selection), names_no_configuration: by_directory && selection.config.is_none() }
    }

    /// The words as they were typed, with a configuration among them.
    #[cfg(test)]
    pub(super) fn of(words: &[&str]) -> Self {
        Self { typed: words.iter().map(|word| (*word).to_owned()).collect(), names_no_configuration: false }
    }

    /// A command that looks at the same state.
    pub(super) fn look(&self, what: &str) -> String {
        command(what, &self.typed)
    }

    /// The command that goes on with the run; in words where only its directory is known.
    pub(super) fn run(&self, flag: &str) -> String {
        let run = format!("run {flag}");
        match (self.names_no_configuration, flag) {
            (false, _) => command(run.trim_end(), &self.typed),
            (true, "") => "the command that began it, once more".to_owned(),
            (true, _) => format!("the command that began it, with {flag}"),
        }
    }
}

impl State {
    /// Opens it for reading; a run that is live is not disturbed.
    ///
    /// # Errors
    /// The configuration cannot be used, or there is no state.
    pub(super) fn open(selection: &StateSelection, session: &Session) -> Result<Self, Failure> {
        let (directory, inputs) = places(selection, session)?;
        let reader = StateReader::open(&directory).map_err(|error| match error {
            StoreError::Missing { .. } => Failure::NoState { directory: directory.clone() },
            other => Failure::State(other),
        })?;
        Ok(Self { directory, reader, inputs, way: Way::new(selection) })
    }

    /// The task that was typed: a path below the input directory or to a file in it, a number, or a name that only one
    /// file has.
    ///
    /// # Errors
    /// None, or several.
    pub(super) fn task(&self, name: &str) -> Result<TaskView, Failure> {
        let name = name.strip_prefix("./").unwrap_or(name);
        let raw = InputPath::new(name.as_bytes());
        let path = InputPath::from_escaped(name).unwrap_or_else(|| raw.clone());
        let number = name.parse().ok().map(|number| TaskRef::Id(TaskId(number)));
        let inside = self.inside(Path::new(name)).map(TaskRef::Path);
        for wanted in [TaskRef::Path(path), TaskRef::Path(raw)].into_iter().chain(number).chain(inside) {
            if let Some(task) = self.reader.task(&wanted)? {
                return Ok(task);
            }
        }
        self.by_name(name)
    }

    /// The path below the input directory of a file that was named from the working directory or from the root.
    fn inside(&self, name: &Path) -> Option<InputPath> {
        let inputs = std::path::absolute(self.inputs.as_ref()?).ok()?;
        let name = std::path::absolute(name).ok()?;
        let below = name.strip_prefix(&inputs).ok()?;
        Some(InputPath::new(below.as_os_str().as_bytes()))
    }

    /// The path below the input directory of a file that is there, whatever the records know of it.
    pub(super) fn waiting(&self, name: &str) -> Option<InputPath> {
        let inputs = self.inputs.as_ref()?;
        let below = InputPath::from_escaped(name).unwrap_or_else(|| InputPath::new(name.as_bytes()));
        let candidates = [Some(below), self.inside(Path::new(name))];
        candidates
            .into_iter()
            .flatten()
            .find(|path| inputs.join(OsStr::from_bytes(path.as_bytes())).is_file())
    }

    /// The size of an input that is there now.
    pub(super) fn size(&self, path: &InputPath) -> Option<u64> {
        let file = self.inputs.as_ref()?.join(OsStr::from_bytes(path.as_bytes()));
        Some(std::fs::metadata(file).ok()?.len())
    }

    fn by_name(&self, name: &str) -> Result<TaskView, Failure> {
        let mut same = Vec::new();
        let mut count = 0_usize;
        let mut names: Vec<String> = Vec::new();
        self.reader.each_path(|task, path| {
            let path = InputPath::new(path);
            let shown = path.to_string();
            let base = shown.rsplit('/').next().unwrap_or(&shown);
            if base == name {
                count += 1;
                if same.len() < SAME {
                    same.push((task, shown));
                }
            } else if nearest(name, [base, shown.as_str()]).is_some() {
                names.push(shown);
            }
        })?;
        let name = name.to_owned();
        match same.as_slice() {
            [] => Err(Failure::UnknownTask { like: likest(&name, names), name }),
            [(task, _)] if count == 1 => {
                self.reader.task(&TaskRef::Id(*task))?.ok_or(Failure::UnknownTask { name, like: Vec::new() })
            }
            _ => Err(Failure::AmbiguousTask {
                name,
                count,
                paths: same.into_iter().map(|(_, path)| path).collect(),
            }),
        }
    }

    /// Where the captured output of an attempt is: `stdout` or `stderr`; absent when there was none.
    pub(super) fn log(&self, attempt: AttemptId, stream: &str) -> PathBuf {
        log_path(&self.directory, attempt, stream)
    }
}

/// The best few of names that are like the one typed.
fn likest(name: &str, mut names: Vec<String>) -> Vec<String> {
    let mut best = Vec::new();
    while best.len() < LIKE {
        let Some(near) =
            nearest(name, names.iter().map(String::as_str)).or(names.first().map(String::as_str))
        else {
            break;
        };
        let near = near.to_owned();
        names.retain(|other| *other != near);
        best.push(near);
    }
    best
}

/// The state directory, and the input directory where a configuration names it.
fn places(selection: &StateSelection, session: &Session) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    if let Some(directory) = &selection.state_dir {
        return Ok((directory.clone(), None));
    }
    match (&selection.output, &selection.config) {
        (Some(output), None) => Ok((output.join(".orchestrator"), None)),
        _ => {
            let all = Selection {
                config: selection.config.clone(),
                profile: selection.profile.clone(),
                set: selection.set.clone(),
                output: selection.output.as_ref().map(|path| path.to_string_lossy().into_owned()),
                ..Selection::default()
            };
            let config = session.load(&all)?.config;
            Ok((config.state_directory(), Some(config.input.files_directory)))
        }
    }
}

fn typed(selection: &StateSelection) -> Vec<String> {
    let path = |path: &PathBuf| shell_word(&path.to_string_lossy());
    let mut words = Vec::new();
    for (flag, value) in [
        ("--profile", selection.profile.as_deref().map(shell_word)),
        ("--output", selection.output.as_ref().map(path)),
        ("--state-dir", selection.state_dir.as_ref().map(path)),
    ] {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    words.extend(selection.set.iter().flat_map(|set| ["--set".to_owned(), shell_word(set)]));
    words.extend(selection.config.as_ref().map(path));
    words
}

/// Now, as the records count time.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_names_come_first_and_are_few() {
        let names = ["bad1.dat", "bad.dat", "sub/bad.dat", "bat.dat", "bad.tad"].map(str::to_owned).to_vec();
        let best = likest("bda.dat", names);
        assert_eq!(best.len(), LIKE);
        assert_eq!(best[0], "bad.dat");
    }
}
