//! Builds plugin libraries that are no part of the workspace.
//!
//! Sources are copied into `<target>/fixtures/src` with words replaced, beside the workspace's lock file, so that nothing
//! needs to be downloaded that the workspace did not need; they share one target directory, so that `abi_stable` is built
//! once.

use orchestrator_tests::artifacts;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace")
}

/// Where libraries outside the workspace are built.
pub(crate) fn fixtures() -> PathBuf {
    artifacts::folder().parent().expect("the target folder").join("fixtures")
}

/// A library of misbehaving classes.
pub(crate) fn misbehaving() -> PathBuf {
    Crate::fixture("misbehaving", "misbehaving-plugin").build()
}

/// A library that means harm.
pub(crate) fn zoo() -> PathBuf {
    Crate::fixture("zoo", "zoo-plugin").build()
}

/// A library whose constructor crashes.
pub(crate) fn crashing() -> PathBuf {
    Crate::fixture("crashing", "crashing-plugin").build()
}

/// A shared library that is no plugin.
pub(crate) fn no_plugin() -> PathBuf {
    Crate::fixture("no-plugin", "no-plugin").build()
}

/// The least plugin: `class` emits `metric` = 1.
pub(crate) fn tiny(package: &'static str, class: &str, metric: &str) -> Crate {
    Crate::fixture("tiny", package)
        .replace("PACKAGE", package)
        .replace("CLASS", class)
        .replace("METRIC", metric)
}

/// The third party's crate, built where it lies, with its own lock file.
pub(crate) fn third_party() -> PathBuf {
    let manifest = workspace().join("examples/third-party-plugin/Cargo.toml");
    // Without debug information its dependencies are those of the other crates here, built once.
    cargo(&["build", "--locked", "--config", "profile.dev.debug=false"], &manifest, &[]);
    fixtures().join("debug/libload_average.so")
}

/// A crate to be built outside the workspace.
pub(crate) struct Crate {
    source: PathBuf,
    package: &'static str,
    words: Vec<(String, String)>,
    flags: &'static [&'static str],
}

impl Crate {
    pub(crate) fn fixture(folder: &str, package: &'static str) -> Self {
        let source = workspace().join("tests/fixtures/plugins").join(folder);
        let api = workspace().join("orchestrator-plugin-api").display().to_string();
        Self {
            source,
            package,
            words: vec![("../../../../orchestrator-plugin-api".to_owned(), api)],
            flags: &[],
        }
    }

    /// Replaces a word everywhere in the crate.
    pub(crate) fn replace(mut self, word: &str, by: &str) -> Self {
        self.words.push((word.to_owned(), by.to_owned()));
        self
    }

    /// Flags for the compiler of this crate; its dependencies are built as always.
    pub(crate) fn flags(mut self, flags: &'static [&'static str]) -> Self {
        self.flags = flags;
        self
    }

    /// Builds it against another contract.
    pub(crate) fn against(self, api: &Path) -> Self {
        let usual = workspace().join("orchestrator-plugin-api").display().to_string();
        self.replace(&usual, &api.display().to_string())
    }

    /// Builds the library and returns its path.
    pub(crate) fn build(&self) -> PathBuf {
        let folder = fixtures().join("src").join(self.package);
        // Another test may be building the same crate just now.
        let _lock = lock(self.package);
        copy(&self.source, &folder, &self.words);
        take_lock_file(&folder);
        cargo(&["rustc", "--offline", "--lib"], &folder.join("Cargo.toml"), self.flags);
        fixtures().join(format!("debug/lib{}.so", self.package.replace('-', "_")))
    }
}

/// A copy of the contract's crate with its version and words of its source changed.
pub(crate) fn changed_contract(name: &str, version: &str, words: &[(&str, &str)]) -> PathBuf {
    let folder = fixtures().join("src").join(name);
    let _lock = lock(name);
    let source = workspace().join("orchestrator-plugin-api/src");
    let words: Vec<(String, String)> =
        words.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
    for (word, _) in &words {
        assert!(folder_contains(&source, word), "the contract's source has no `{word}` to change any more");
    }
    copy(&source, &folder.join("src"), &words);
    let manifest = format!(
        "[package]\nname = \"orchestrator-plugin-api\"\nversion = \"{version}\"\nedition = \"2024\"\n\n\
         [features]\ntracing = []\n\n[dependencies]\n\
         abi_stable = {{ version = \"=0.11.3\", default-features = false }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n\n[workspace]\n"
    );
    write(&folder.join("Cargo.toml"), manifest.as_bytes());
    folder
}

/// Begins with the workspace's lock file, again whenever that changes; cargo prunes it to what the crate needs.
pub(crate) fn take_lock_file(folder: &Path) {
    let (ours, seen) = (workspace().join("Cargo.lock"), folder.join("workspace.lock"));
    let text = fs::read(&ours).expect("the workspace's lock file");
    if fs::read(&seen).ok().as_ref() != Some(&text) {
        fs::write(folder.join("Cargo.lock"), &text).expect("a file in the target folder");
        fs::write(seen, &text).expect("a file in the target folder");
    }
}

fn folder_contains(folder: &Path, word: &str) -> bool {
    fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            folder_contains(&path, word)
        } else {
            fs::read_to_string(&path).is_ok_and(|text| text.contains(word))
        }
    })
}

pub(crate) fn lock(name: &str) -> File {
    let folder = fixtures().join("locks");
    fs::create_dir_all(&folder).expect("a folder for locks");
    let file = File::create(folder.join(name)).expect("a lock");
    file.lock().expect("a lock");
    file
}

fn copy(from: &Path, to: &Path, words: &[(String, String)]) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.file_name().and_then(|name| name.to_str()) {
            Some("target" | "Cargo.lock") => {}
            _ if from.is_dir() => copy(&from, &to, words),
            _ => copy_file(&from, &to, words),
        }
    }
}

fn copy_file(from: &Path, to: &Path, words: &[(String, String)]) {
    let text = fs::read_to_string(from).expect("a source file");
    let text = words.iter().fold(text, |text, (word, by)| text.replace(word, by));
    write(to, text.as_bytes());
}

/// Writes only what has changed: cargo goes by the time of the last change.
fn write(path: &Path, content: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(content) {
        fs::write(path, content).expect("a file in the target folder");
    }
}

/// Runs `cargo` on a crate outside the workspace; `flags` come after `--`.
pub(crate) fn cargo(arguments: &[&str], manifest: &Path, flags: &[&str]) {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).arg("--quiet").arg("--manifest-path").arg(manifest);
    command.arg("--target-dir").arg(fixtures());
    if !flags.is_empty() {
        command.arg("--").args(flags);
    }
    // Settings of the run under test (a wrapper, flags for coverage) are not for third parties.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        command.env_remove(variable);
    }
    let output = command.output().expect("cargo runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} does not build:\n{words}", manifest.display());
}
