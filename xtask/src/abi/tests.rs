//! Real changes of the contract's source, each compiled and compared with the records of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Record, differences, read, records};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn published() -> Vec<Record> {
    records(&workspace().join("orchestrator-plugin-api/abi")).unwrap()
}

const DEPENDENCIES: &str = "[dependencies]\nabi_stable = { version = \"=0.11.3\", default-features = false }\n\
                            serde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n";

/// The layout of the contract after a change of its source, under another version.
fn changed(name: &str, version: &str, words: &[(&str, &str)]) -> Record {
    let own = std::env::current_exe().unwrap();
    // `<target>/debug/deps/xtask-…`: the libraries that tests build outside the workspace share a folder.
    let target = own.ancestors().nth(3).unwrap().join("fixtures");
    let (contract, program) = (format!("abi-{name}"), format!("abi-{name}-print"));
    write_contract(&target.join("src").join(contract), version, words);
    let folder = target.join("src").join(&program);
    write_program(&folder, &program, name);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--offline", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        cargo.env_remove(variable);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&output.stdout).unwrap()
}

fn write_contract(folder: &Path, version: &str, words: &[(&str, &str)]) {
    let source = workspace().join("orchestrator-plugin-api/src");
    let whole = text_below(&source);
    for (word, _) in words {
        assert!(whole.contains(word), "the contract's source has no `{word}` to change any more");
    }
    copy(&source, &folder.join("src"), words);
    let manifest = format!(
        "[package]\nname = \"orchestrator-plugin-api\"\nversion = \"{version}\"\nedition = \"2024\"\n\n\
         [features]\ntracing = []\n\n{DEPENDENCIES}\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
}

/// The example as a program of its own name: the tests run side by side and share the target folder.
fn write_program(folder: &Path, package: &str, name: &str) {
    fs::create_dir_all(folder.join("src")).unwrap();
    let example = workspace().join("orchestrator-plugin-api/examples/abi.rs");
    fs::copy(example, folder.join("src/main.rs")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{DEPENDENCIES}\
         orchestrator-plugin-api = {{ path = \"../abi-{name}\" }}\n\n[profile.dev]\ndebug = false\n\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

fn text_below(folder: &Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { text_below(&path) } else { fs::read_to_string(&path).unwrap() })
        .collect()
}

fn copy(from: &Path, to: &Path, words: &[(&str, &str)]) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target: PathBuf = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, words);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = words.iter().fold(text, |text, (word, by)| text.replace(word, by));
        fs::write(target, text).unwrap();
    }
}

/// The sentences about the record of one version.
fn about<'s>(version: &str, sentences: &'s [String]) -> Vec<&'s str> {
    let prefix = format!("{version}: ");
    sentences.iter().filter_map(|sentence| sentence.strip_prefix(&prefix)).collect()
}

#[test]
fn the_first_version_and_the_present_one_are_on_record() {
    let versions: Vec<String> = published().into_iter().map(|record| record.version).collect();
    assert_eq!(versions.first().map(String::as_str), Some("1.0.0"));
    let present = changed("present", "1.1.0", &[]);
    assert!(versions.contains(&present.version), "{versions:?}");
    assert_eq!(differences(&published(), &present), [""; 0]);
}

#[test]
fn a_moved_prefix_is_caught() {
    let (mark, snapshot) = (
        "    #[sabi(last_prefix_field)]\n",
        "    fn snapshot(&mut self) -> RResult<ROption<RVec<u8>>, Fault> {\n        RResult",
    );
    let words = [
        (&*format!("{mark}    fn collect_system"), "    fn collect_system"),
        (&*format!("{mark}    fn calculate"), "    fn calculate"),
        (snapshot, &*format!("{mark}{snapshot}")),
    ];
    let found = differences(&published(), &changed("prefix", "1.99.0", &words));
    let told = [
        "object CapacityObject: the first 3 fields are the prefix → the first 4 fields are the prefix",
        "object MetricsObject: the first 4 fields are the prefix → the first 5 fields are the prefix",
    ];
    assert_eq!(about("1.0.0", &found), told);
}

#[test]
fn a_changed_type_is_caught_where_it_stands() {
    let words = [
        ("pub retry_after_ms: u32,", "pub retry_after_ms: u64,"),
        ("unwrap_or(u32::MAX),", "unwrap_or(u32::MAX).into(),"),
    ];
    let found = differences(&published(), &changed("type", "1.99.0", &words));
    for version in ["1.0.0", "1.1.0"] {
        let told = [
            "struct Fault: 40 bytes, alignment 8, C → 48 bytes, alignment 8, C",
            "struct Fault.1: retry_after_ms: u32, 4 bytes → retry_after_ms: u64, 8 bytes",
        ];
        assert_eq!(about(version, &found), told);
    }
}

#[test]
fn a_removed_method_is_caught() {
    let words = [
        (
            "    fn restore(&mut self, state: RSlice<'_, u8>) -> RResult<(), Fault> {\n        let _ = state;\n        \
             RResult::ROk(())\n    }\n",
            "",
        ),
        (
            "\n    /// Takes over the state that a predecessor gave, before the first other call. An instance that \
             cannot use it\n    /// answers with a fault and works on as initialised. Since 1.1; an older library \
             starts anew.\n",
            "",
        ),
        (
            "    fn restore(&mut self, state: RSlice<'_, u8>) -> RResult<(), Fault> {\n        self.enter(|plugin| \
             plugin.restore(state.as_slice())).into()\n    }\n",
            "",
        ),
    ];
    let found = differences(&published(), &changed("method", "1.99.0", &words));
    let told = about("1.1.0", &found);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("object CapacityObject.4 is gone (it was restore: fn("), "{told:?}");
    assert!(told[1].starts_with("object MetricsObject.5 is gone (it was restore: fn("), "{told:?}");
    assert_eq!(about("1.0.0", &found), [""; 0]);
}

#[test]
fn an_addition_needs_a_version_of_its_own_and_no_struct_grows() {
    let words = [
        ("    NICE = 123,", "    NICE = 123,\n    /// Later.\n    LATER = 124,"),
        (
            "    pub value: f64,\n}\n\n/// Names a textual",
            "    pub value: f64,\n    /// Later.\n    pub later: [u8; 0],\n}\n\n/// Names a textual",
        ),
        ("Number { id, value }", "Number { id, value, later: [] }"),
    ];
    let grown = changed("grown", "1.1.0", &words);
    let found = differences(&published(), &grown);
    let advice = "raise the minor version of orchestrator-plugin-api";
    let told = about("1.1.0", &found);
    assert!(told.contains(&format!("const FactId::LATER is new (124): {advice}").as_str()), "{told:?}");
    let later = Record { version: "1.99.0".to_owned(), ..grown };
    let told = ["struct Number.2 is new (later: [u8;0], 0 bytes): a by-value struct never grows"];
    let found = differences(&published(), &later);
    assert_eq!((about("1.0.0", &found), about("1.1.0", &found)), (told.to_vec(), told.to_vec()));
}
