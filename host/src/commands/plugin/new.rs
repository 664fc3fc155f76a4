//! `plugin new`: a crate that builds, passes its own test and can be used at once.

use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_plugin_host::API_VERSION;
use serde_json::json;

use crate::cli::{NewArgs, NewKind, shell_word};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Longest name; with it every line of the templates stays within what rustfmt leaves alone.
const NAME_CHARS: usize = 50;

/// Words that cannot be the name of a crate, or would hide one that a plugin needs. From the Rust reference
/// (keywords, strict and reserved) and the templates' dependencies.
const TAKEN: [&str; 59] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "orchestrator_plugin_api",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "abi_stable",
];

/// Classes that come with the program: of two libraries with the same class only one is used.
const BUNDLED: [&str; 4] = [
    "SystemMetricsCollector",
    "ConnectionMetricsCollector",
    "SystemResourceCapacity",
    "CustomCapacityCalculator",
];

/// Why no crate was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewPluginError {
    /// Cargo would refuse the name, or trip over it.
    #[error(
        "`{name}` is no name for a plugin, since {reason}; take lower-case letters, digits and dashes, \
         beginning with a letter, such as `disk-watch`"
    )]
    Name {
        /// As typed.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its class would stand twice in every host.
    #[error("`{name}` would export the class {class}, which comes with the program; choose another name")]
    Bundled {
        /// As typed.
        name: String,
        /// The class.
        class: String,
    },
    /// Something is there already.
    #[error("{} exists already; remove it, or choose another place with --path", .0.display())]
    Exists(PathBuf),
    /// The folder that was named for the contract's crate is something else.
    #[error("{} is not the crate orchestrator-plugin-api; give --api-path the folder with its Cargo.toml", .0.display())]
    NoContract(PathBuf),
}

/// Writes the crate and says what to type next.
pub(super) fn new(args: &NewArgs, session: &Session) -> Result<Exit, Failure> {
    check_name(&args.name)?;
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let template = Template { name: &args.name, kind: args.kind, api: dependency(args.api_path.as_deref())? };
    let class = template.class();
    if BUNDLED.contains(&class.as_str()) {
        return Err(NewPluginError::Bundled { name: args.name.clone(), class }.into());
    }
    if folder.symlink_metadata().is_ok() {
        return Err(NewPluginError::Exists(folder).into());
    }
    for (file, text) in template.files() {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(Failure::file("make", parent))?;
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
    }
    let next = template.next(&folder);
    if session.json() {
        session.print_json(&json!({ "folder": folder, "class": class, "next": next }))?;
    } else {
        session.print(&format!(
            "made {} with the class {class}\nnext:\n  {}\n",
            folder.display(),
            next.join("\n  ")
        ))?;
    }
    Ok(Exit::Success)
}

fn check_name(name: &str) -> Result<(), NewPluginError> {
    let wrong = |reason| Err(NewPluginError::Name { name: name.to_owned(), reason });
    if name.is_empty() {
        return wrong("it is empty");
    }
    if name.chars().count() > NAME_CHARS {
        return wrong("it is longer than 50 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return wrong("it does not begin with a lower-case letter");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_')) {
        return wrong("it has other characters than lower-case letters, digits, `-` and `_`");
    }
    if TAKEN.contains(&name.replace('-', "_").as_str()) {
        return wrong("the word means something else to Rust");
    }
    Ok(())
}

/// The line of `Cargo.toml` that names the contract: by version, or by folder while that version is not published.
fn dependency(folder: Option<&Path>) -> Result<String, Failure> {
    let version = minor();
    let Some(folder) = folder else {
        return Ok(format!("orchestrator-plugin-api = \"{version}\""));
    };
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.lines().any(|line| line.replace(' ', "") == "name=\"orchestrator-plugin-api\"") {
        return Err(NewPluginError::NoContract(folder.to_owned()).into());
    }
    let folder = folder.canonicalize().map_err(Failure::file("read", folder))?;
    // TOML's basic strings escape as JSON's do.
    let folder = json!(folder.to_string_lossy());
    Ok(format!("orchestrator-plugin-api = {{ version = \"{version}\", path = {folder} }}"))
}

/// `1.1` of `1.1.0`.
fn minor() -> &'static str {
    API_VERSION.rsplit_once('.').map_or(API_VERSION, |(minor, _)| minor)
}

struct Template<'a> {
    name: &'a str,
    kind: NewKind,
    api: String,
}

impl Template<'_> {
    fn files(&self) -> [(&'static str, String); 7] {
        let source = match self.kind {
            NewKind::Metrics => include_str!("template/metrics.rs.txt"),
            NewKind::Capacity => include_str!("template/capacity.rs.txt"),
        };
        [
            ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
            ("src/lib.rs", source),
            ("README.md", include_str!("template/README.md.txt")),
            ("LICENSE", include_str!("template/LICENSE.txt")),
            (".gitignore", include_str!("template/gitignore.txt")),
            (".github/workflows/ci.yml", include_str!("template/ci.yml.txt")),
            ("example.yaml", include_str!("template/example.yaml.txt")),
        ]
        .map(|(file, text)| (file, self.filled(text)))
    }

    fn filled(&self, text: &str) -> String {
        let (kind, about, option) = match self.kind {
            NewKind::Metrics => ("metrics", "Memory and open files of every process.", "descendants: true"),
            NewKind::Capacity => {
                let about = "So many processes that each has a given share of the machine's cores.";
                ("capacity", about, "cores_each: 1")
            }
        };
        let major = minor().split('.').next().unwrap_or_default();
        [
            ("@NAME@", self.name),
            ("@LIB@", &self.library()),
            ("@PREFIX@", &self.library()),
            ("@CLASS@", &self.class()),
            ("@ABOUT@", about),
            ("@OPTION@", option),
            ("@KIND@", kind),
            ("@API@", &self.api),
            ("@MINOR@", minor()),
            ("@MAJOR@", major),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (word, by)| text.replace(word, by))
    }

    /// The library's name as cargo forms it.
    fn library(&self) -> String {
        self.name.replace('-', "_")
    }

    /// `disk-watch` → `DiskWatchCollector`, `DiskWatchCapacity`.
    fn class(&self) -> String {
        let mut class = String::new();
        for word in self.name.split(['-', '_']) {
            let (first, rest) = word.split_at(word.len().min(1));
            class.push_str(&first.to_ascii_uppercase());
            class.push_str(rest);
        }
        class
            + match self.kind {
                NewKind::Metrics => "Collector",
                NewKind::Capacity => "Capacity",
            }
    }

    /// What to type next.
    fn next(&self, folder: &Path) -> [String; 5] {
        let library = format!("target/release/lib{}.so", self.library());
        [
            format!("cd {}", shell_word(&folder.to_string_lossy())),
            "cargo test".to_owned(),
            "cargo build --release".to_owned(),
            format!("orchestrator plugin check {library}"),
            "orchestrator run example.yaml".to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{NewKind, TAKEN, Template, check_name};

    #[test]
    fn names_that_cargo_would_refuse_are_refused_in_one_sentence() {
        for good in ["a", "disk-watch", "disk_watch2", &"x".repeat(50)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let bad = ["", "9lives", "Disk", "-x", "a b", "a/b", "../x", "ü", "a.b", "fn", "proc-macro", "serde"];
        for name in bad.into_iter().chain([&*"x".repeat(51)]) {
            let told = check_name(name).unwrap_err().to_string();
            assert!(told.lines().count() == 1 && told.contains("disk-watch"), "{told}");
        }
        assert!(TAKEN.iter().all(|word| check_name(word).is_err()));
    }

    #[test]
    fn classes_are_named_after_the_crate_and_no_word_is_left_to_fill_in() {
        for (kind, class) in
            [(NewKind::Metrics, "DiskWatch2Collector"), (NewKind::Capacity, "DiskWatch2Capacity")]
        {
            let template = Template { name: "disk-watch_2", kind, api: "x = \"1\"".to_owned() };
            assert_eq!(template.class(), class);
            for (file, text) in template.files() {
                let left = text
                    .split('@')
                    .skip(1)
                    .step_by(2)
                    .find(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()));
                assert_eq!(left, None, "{file}");
            }
        }
    }
}
