//! What `plugin check`, `plugin run` and `plugin bench` are asked to work on, and the mistakes in asking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orchestrator_plugin_host::{Catalog, ClassDescriptor, FileProblem, PluginKind, Trust};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::exit::Exit;

/// Why an author's command cannot do its work.
#[derive(Debug, Error)]
pub(crate) enum AuthorError {
    /// The library cannot be used.
    #[error("{0}")]
    File(FileProblem),
    /// The file with the configuration cannot be used.
    #[error("the configuration {} cannot be used: {reason}; write a mapping, as under `config:` of a plugin", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file with the configuration cannot be read.
    #[error("cannot read the file {} ({source}); --config names a YAML or JSON file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The library exports no such class.
    #[error("{} exports no class `{class}`; it exports {known}", path.display())]
    NoClass {
        /// The library.
        path: PathBuf,
        /// What was asked for.
        class: String,
        /// Its classes.
        known: String,
    },
    /// The library exports several.
    #[error("{} exports several classes; name one with --class ({known})", path.display())]
    WhichClass {
        /// The library.
        path: PathBuf,
        /// Its classes.
        known: String,
    },
    /// The process is not there.
    #[error("there is no process {pid}; name a live one with --pid, or take --self")]
    Gone {
        /// Its number.
        pid: u32,
    },
    /// The instance could not be started, or broke.
    #[error("{0}")]
    Instance(String),
    /// The machine cannot be read.
    #[error("the processes of this machine cannot be read: {0}")]
    Machine(#[from] std::io::Error),
}

impl AuthorError {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::File(_) | Self::Instance(_) => Exit::Unavailable,
            Self::Config { .. } | Self::Unreadable { .. } => Exit::Config,
            Self::NoClass { .. } | Self::WhichClass { .. } | Self::Gone { .. } => Exit::Usage,
            Self::Machine(_) => Exit::Internal,
        }
    }
}

/// A library to work on.
pub(super) struct Subject {
    pub(super) catalog: Catalog,
    configs: Configs,
}

impl Subject {
    /// Opens the library by the rules of a run without `plugins.trust`; nothing of it is executed.
    pub(super) fn open(path: &Path, config: Option<&Path>) -> Result<Self, AuthorError> {
        let configs = config.map(Configs::read).transpose()?.unwrap_or_default();
        let catalog = Catalog::of_file(Trust::default(), path).map_err(AuthorError::File)?;
        Ok(Self { catalog, configs })
    }

    /// The classes of a known kind.
    pub(super) fn classes(&self) -> impl Iterator<Item = &ClassDescriptor> {
        let all = self.catalog.files().iter().flat_map(|file| &file.descriptor.classes);
        all.filter(|class| class.kind != PluginKind::Unknown)
    }

    /// The class of this name, or the only one.
    pub(super) fn class(&self, wanted: Option<&str>) -> Result<&ClassDescriptor, AuthorError> {
        let known = || self.classes().map(|class| class.class.as_str()).collect::<Vec<_>>().join(", ");
        let path = || self.catalog.files().first().map(|file| file.path.clone()).unwrap_or_default();
        let mut classes = self.classes();
        match (wanted, classes.next(), classes.next()) {
            (None, Some(only), None) => Ok(only),
            (None, ..) => Err(AuthorError::WhichClass { path: path(), known: known() }),
            (Some(name), ..) => self
                .classes()
                .find(|class| class.class == name)
                .ok_or_else(|| AuthorError::NoClass { path: path(), class: name.to_owned(), known: known() }),
        }
    }

    /// The section that the configuration's file has for a class.
    pub(super) fn config(&self, class: &ClassDescriptor) -> Option<Map<String, Value>> {
        let names: Vec<&str> = self.classes().map(|class| class.class.as_str()).collect();
        self.configs.of(&class.class, &names)
    }
}

/// What `--config` holds: one section, or one for each class under its name.
#[derive(Debug, Default)]
struct Configs(Option<Map<String, Value>>);

impl Configs {
    fn read(path: &Path) -> Result<Self, AuthorError> {
        let problem = |reason: String| AuthorError::Config { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path)
            .map_err(|source| AuthorError::Unreadable { path: path.to_owned(), source })?;
        // JSON is YAML, too.
        let sections: BTreeMap<String, Value> =
            serde_yaml::from_str(&text).map_err(|error| problem(error.to_string()))?;
        Ok(Self(Some(sections.into_iter().collect())))
    }

    fn of(&self, class: &str, classes: &[&str]) -> Option<Map<String, Value>> {
        let all = self.0.as_ref()?;
        let by_class = !all.is_empty()
            && all.iter().all(|(key, value)| classes.contains(&key.as_str()) && value.is_object());
        if !by_class {
            return Some(all.clone());
        }
        all.get(class).and_then(Value::as_object).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::Configs;
    use serde_json::{Value, json};

    #[test]
    fn sections_stand_alone_or_under_their_classes() {
        let configs = |value: Value| Configs(value.as_object().cloned());
        let one = configs(json!({"ports": [1]}));
        assert_eq!(one.of("A", &["A"]), json!({"ports": [1]}).as_object().cloned());
        let several = configs(json!({"A": {"ports": [1]}}));
        assert_eq!(several.of("A", &["A", "B"]), json!({"ports": [1]}).as_object().cloned());
        assert_eq!(several.of("B", &["A", "B"]), None);
        assert_eq!(Configs(None).of("A", &["A"]), None);
    }
}
