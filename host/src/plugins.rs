//! Where plugin libraries are looked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orchestrator_core::config::model::{self as configured, Config, Isolation, Plugins};
use orchestrator_plugin_host::{
    Catalog, CatalogProblem, FileFault, InstanceSpec, PluginKind, Probe, Runner, StartOptions, Trust,
    TrustError, TrustFault,
};

/// The variable that names directories, separated by colons.
const VARIABLE: &str = "ORCHESTRATOR_PLUGINS_DIR";

/// Who named a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NamedBy {
    /// `--plugins-dir`.
    Flag,
    /// `ORCHESTRATOR_PLUGINS_DIR`.
    Environment,
    /// `plugins.directories`.
    Configuration,
    /// Nobody: the program's own directory and `plugins/` in it.
    Program,
}

impl NamedBy {
    /// For people: `--plugins-dir`, …
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Flag => "--plugins-dir",
            Self::Environment => VARIABLE,
            Self::Configuration => "plugins.directories",
            Self::Program => "beside the program",
        }
    }
}

/// The directories in the order of their search.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SearchPath(pub(crate) Vec<(PathBuf, NamedBy)>);

impl SearchPath {
    /// Flags, then the variable, then the configuration, then the program's directory and `plugins/` in it, where these
    /// exist.
    pub(crate) fn new(
        flags: &[PathBuf],
        environment: &BTreeMap<String, String>,
        configured: &[PathBuf],
        program: Option<&Path>,
    ) -> Self {
        let named = environment.get(VARIABLE).map(String::as_str).unwrap_or_default();
        let variable = std::env::split_paths(named).filter(|path| !path.as_os_str().is_empty());
        let beside = program.and_then(Path::parent).map(Path::to_owned);
        let own = beside.into_iter().flat_map(|beside| [beside.clone(), beside.join("plugins")]);
        let all = (flags.iter().cloned().map(|path| (path, NamedBy::Flag)))
            .chain(variable.map(|path| (path, NamedBy::Environment)))
            .chain(configured.iter().cloned().map(|path| (path, NamedBy::Configuration)))
            .chain(own.filter(|path| path.is_dir()).map(|path| (path, NamedBy::Program)));
        let mut places: Vec<(PathBuf, NamedBy)> = Vec::new();
        for place in all {
            if places.iter().all(|(known, _)| *known != place.0) {
                places.push(place);
            }
        }
        Self(places)
    }

    /// The search path of this program.
    pub(crate) fn of_this_program(
        flags: &[PathBuf],
        environment: &BTreeMap<String, String>,
        configured: &[PathBuf],
    ) -> Self {
        Self::new(flags, environment, configured, std::env::current_exe().ok().as_deref())
    }

    /// Reads all libraries; nothing of them is executed, and what is not trusted serves no class.
    ///
    /// # Errors
    /// A key of `plugins.trust.keys` cannot be used.
    pub(crate) fn scan(&self, trust: &configured::Trust) -> Result<Catalog, TrustError> {
        let trust = Trust::new(trust)?;
        Ok(Catalog::scan_trusting(trust, self.0.iter().map(|(path, _)| path)))
    }

    /// Whether a problem of the catalog is worth a word to whoever lists libraries: a library of something else beside the
    /// program is not.
    pub(crate) fn is_told_of(&self, problem: &CatalogProblem) -> bool {
        let CatalogProblem::File(file) = problem else { return true };
        !matches!(file.fault, FileFault::NoDescriptor) || self.is_named(&file.path)
    }

    /// Whether it is worth a warning to whoever runs: what came with the program and nobody vouched for is not, as long as
    /// nothing needs it.
    pub(crate) fn concerns(&self, problem: &CatalogProblem) -> bool {
        let CatalogProblem::File(file) = problem else { return true };
        let unvouched = matches!(
            file.fault,
            FileFault::Trust(
                TrustFault::NotPinned(_) | TrustFault::Unsigned { .. } | TrustFault::UnknownKey { .. }
            )
        );
        self.is_told_of(problem) && (!unvouched || self.is_named(&file.path))
    }

    /// Whether somebody named the directory that a file lies in.
    fn is_named(&self, file: &Path) -> bool {
        let parent = file.parent();
        self.0.iter().any(|(path, by)| *by != NamedBy::Program && Some(path.as_path()) == parent)
    }
}

/// The enabled instances, each with the isolation that is in force: what the configuration says, else none for libraries
/// that came with this program and a sandbox for all others.
pub(crate) fn specs(plugins: &Plugins, catalog: &Catalog) -> Vec<InstanceSpec> {
    let program = std::env::current_exe().ok();
    let mut specs = InstanceSpec::enabled(plugins);
    for spec in &mut specs {
        let list = if spec.kind == PluginKind::Capacity { &plugins.capacity } else { &plugins.metrics };
        let silent = list.iter().any(|entry| entry.name == spec.name && entry.isolation.is_none());
        let file = catalog.resolve(spec.kind, &spec.class).ok();
        spec.bundled = file.is_some_and(|file| came_with(program.as_deref(), &file.path));
        if silent && spec.bundled {
            spec.isolation = Isolation::InProcess;
        }
    }
    specs
}

/// How instances are started: by this program, which also tries libraries out and runs what is isolated.
pub(crate) fn start_options(config: &Config) -> StartOptions {
    StartOptions {
        probe: Probe::this_program().ok(),
        runner: Some(Runner::this_program()),
        ..StartOptions::default()
    }
    .paced(config.metrics.interval.get())
}

/// Whether a library lies, links followed, in the program's own directory or in `plugins/` of it.
fn came_with(program: Option<&Path>, library: &Path) -> bool {
    let own = program.and_then(|program| program.canonicalize().ok());
    let (Some(own), Ok(library)) = (own.as_deref().and_then(Path::parent), library.canonicalize()) else {
        return false;
    };
    library.parent().is_some_and(|place| place == own || place == own.join("plugins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_variable_before_configuration_before_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("plugins");
        std::fs::create_dir(&own).unwrap();
        let environment = BTreeMap::from([(VARIABLE.to_owned(), "/e1::/e2:/f".to_owned())]);
        let program = folder.path().join("orchestrator");
        let path = SearchPath::new(&["/f".into()], &environment, &["/c".into()], Some(&program));
        let expected = [
            (PathBuf::from("/f"), NamedBy::Flag),
            ("/e1".into(), NamedBy::Environment),
            ("/e2".into(), NamedBy::Environment),
            ("/c".into(), NamedBy::Configuration),
            (folder.path().to_owned(), NamedBy::Program),
            (own, NamedBy::Program),
        ];
        assert_eq!(path.0, expected);
    }

    #[test]
    fn only_what_really_lies_with_the_program_came_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (own, foreign) = (folder.path().join("own"), folder.path().join("foreign"));
        std::fs::create_dir_all(own.join("plugins/deeper")).unwrap();
        std::fs::create_dir(&foreign).unwrap();
        let places = [
            ("own/a.so", true),
            ("own/plugins/a.so", true),
            ("own/plugins/deeper/a.so", false),
            ("foreign/a.so", false),
        ];
        let program = own.join("orchestrator");
        std::fs::write(&program, "").unwrap();
        for (place, bundled) in places {
            let library = folder.path().join(place);
            std::fs::write(&library, "").unwrap();
            assert_eq!(came_with(Some(&program), &library), bundled, "{place}");
        }
        let link = own.join("plugins/linked.so");
        std::os::unix::fs::symlink(foreign.join("a.so"), &link).unwrap();
        assert!(!came_with(Some(&program), &link), "a link to a library of somebody else's");
        assert!(!came_with(None, &own.join("a.so")));
    }

    #[test]
    fn a_foreign_library_beside_the_program_is_passed_over_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libother.so"), "no library at all").unwrap();
        let named = SearchPath(vec![(folder.path().to_owned(), NamedBy::Flag)]);
        let catalog = named.scan(&configured::Trust::default()).unwrap();
        let problems: Vec<_> = catalog.problems().collect();
        assert_eq!(problems.len(), 1);
        assert!(named.concerns(problems[0]), "a broken file is always told of");
    }

    #[test]
    fn what_nobody_vouched_for_is_worth_a_warning_only_where_somebody_named_its_directory() {
        let file = |fault| {
            CatalogProblem::File(orchestrator_plugin_host::FileProblem { path: "/d/a.so".into(), fault })
        };
        let beside = SearchPath(vec![("/d".into(), NamedBy::Program)]);
        let named = SearchPath(vec![("/d".into(), NamedBy::Flag)]);
        let unsigned = file(FileFault::Trust(TrustFault::Unsigned { name: "a.so.minisig".to_owned() }));
        assert!(named.concerns(&unsigned) && !beside.concerns(&unsigned));
        assert!(beside.is_told_of(&unsigned), "the list says it all the same");
        let revoked = file(FileFault::Trust(TrustFault::Revoked(configured::Sha256([0; 32]))));
        assert!(beside.concerns(&revoked));
    }
}
