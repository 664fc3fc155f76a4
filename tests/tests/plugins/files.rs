//! Files that are no plugin, damaged ones, classes that nobody exports.

use crate::fixtures::{crashing, misbehaving, no_plugin, tiny};
use crate::world::{World, directory, metrics};
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_host::{
    Catalog, CatalogProblem, FileFault, Library, PluginFile, Probe, ProbeFault, ResolveError, StartOptions,
    probe_here,
};
use orchestrator_tests::artifacts;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn scan(directory: &Path) -> Catalog {
    Catalog::scan([directory])
}

fn problems(catalog: &Catalog) -> Vec<String> {
    catalog.problems().map(ToString::to_string).collect()
}

#[test]
fn files_that_are_no_plugin_are_warnings_that_name_them() {
    let directory = directory(&[&no_plugin(), &artifacts::plugin("system-metrics")]);
    std::fs::write(directory.path().join("text.so"), "just text").unwrap();
    std::fs::write(directory.path().join("empty.so"), "").unwrap();
    std::fs::write(directory.path().join("README"), "no library at all").unwrap();
    std::fs::create_dir(directory.path().join("folder.so")).unwrap();
    let catalog = scan(directory.path());
    let told = problems(&catalog);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("empty.so: it is no ELF file"), "{told:?}");
    assert!(told[1].contains("libno_plugin.so: no plugin"), "{told:?}");
    assert!(told[2].contains("text.so: it is no ELF file"), "{told:?}");
    assert_eq!(catalog.files().len(), 1);
}

#[test]
fn a_truncated_library_is_refused_at_every_cut() {
    let whole = std::fs::read(artifacts::plugin("custom-capacity")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.so");
    let cuts = (0..200).map(|n| n * whole.len() / 200).chain([whole.len() - 1]);
    for cut in cuts {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let problem = Library::load(&path, None).err().unwrap_or_else(|| panic!("{cut} bytes were loaded"));
        assert!(matches!(problem.fault, FileFault::Elf(_)), "{cut}: {problem}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(Library::load(&path, None).is_ok());
}

#[test]
fn a_build_that_aborts_on_panics_is_refused_in_this_process() {
    let aborting = tiny("tiny-abort", "Aborting", "tiny.abort").flags(&["-C", "panic=abort"]).build();
    let catalog = scan(directory(&[&aborting]).path());
    assert!(problems(&catalog).is_empty(), "in a process of its own it is welcome");
    let world = World::of(&aborting, &[metrics("Aborting")]);
    let sentence = world.failures[0].to_string();
    assert!(sentence.contains("`Aborting`") && sentence.contains("libtiny_abort.so"), "{sentence}");
    assert!(sentence.contains("build it with `panic = \"unwind\"`"), "{sentence}");
}

#[test]
fn a_class_that_nobody_exports_is_answered_with_the_nearest() {
    let directory = directory(&[&artifacts::plugin("system-metrics"), &artifacts::plugin("custom-capacity")]);
    let catalog = scan(directory.path());
    let error = catalog.resolve(PluginKind::Metrics, "SystemMetricCollector").unwrap_err().to_string();
    assert!(error.contains("did you mean `SystemMetricsCollector`?"), "{error}");
    assert!(error.contains(&directory.path().display().to_string()), "{error}");
    let error = catalog.resolve(PluginKind::Metrics, "Nothing").unwrap_err().to_string();
    assert!(error.contains("known: SystemMetricsCollector;"), "{error}");
    let error = catalog.resolve(PluginKind::Metrics, "CustomCapacityCalculator").unwrap_err();
    assert!(matches!(error, ResolveError::OtherKind { found: PluginKind::Capacity, .. }), "{error}");
    let world = World::start(&[directory.path().to_owned()], &[metrics("Nothing")]);
    assert!(world.failures[0].is_unknown_class());
}

#[test]
fn of_two_libraries_with_one_class_the_first_directory_wins() {
    let first = directory(&[&tiny("tiny-first", "Twice", "tiny.first").build()]);
    let second = directory(&[&tiny("tiny-second", "Twice", "tiny.second").build()]);
    let directories = [first.path().to_owned(), second.path().to_owned()];
    let catalog = Catalog::scan(&directories);
    let told: Vec<_> = catalog.problems().collect();
    assert!(matches!(told[..], [CatalogProblem::Duplicate { .. }]), "{told:?}");
    let mut world = World::start(&directories, &[metrics("Twice")]);
    assert!(world.round().system.contains_key("tiny.first"));
}

#[test]
fn a_missing_directory_is_a_warning() {
    let catalog = scan(Path::new("/nowhere/at/all"));
    assert!(problems(&catalog)[0].contains("/nowhere/at/all cannot be read"), "{:?}", problems(&catalog));
}

#[test]
fn a_library_overwritten_while_it_is_used_goes_on_as_it_was() {
    let tiny = tiny("tiny-first", "Twice", "tiny.first").build();
    let directory = directory(&[&tiny]);
    let path = directory.path().join(tiny.file_name().unwrap());
    let mut world = World::start(&[directory.path().to_owned()], &[metrics("Twice")]);
    assert!(world.round().system.contains_key("tiny.first"));
    let length = std::fs::metadata(&path).unwrap().len() as usize;
    std::fs::write(&path, vec![0_u8; length]).unwrap();
    assert!(world.round().system.contains_key("tiny.first"));
    assert!(PluginFile::inspect(&path).is_err());
}

#[test]
fn new_content_under_an_old_path_is_new_code() {
    let (old, new) = (tiny("tiny-first", "Twice", "tiny.first"), tiny("tiny-second", "Twice", "tiny.second"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plugin.so");
    for (library, metric) in [(old.build(), "tiny.first"), (new.build(), "tiny.second")] {
        std::fs::copy(&library, &path).unwrap();
        let mut world = World::start(&[directory.path().to_owned()], &[metrics("Twice")]);
        assert!(world.round().system.contains_key(metric), "{metric}");
    }
}

#[test]
fn a_descriptor_changed_in_the_file_is_found_out() {
    let library = misbehaving();
    let mut bytes = std::fs::read(&library).unwrap();
    let name = b"\"name\":\"misbehaving-plugin\"";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // The loaded library reads the same bytes, so only damage to the JSON itself shows.
    bytes[at] = b'#';
    let path = tempfile::tempdir().unwrap().keep().join("changed.so");
    std::fs::write(&path, bytes).unwrap();
    let problem = PluginFile::inspect(&path).unwrap_err();
    assert!(matches!(problem.fault, FileFault::Descriptor(_)), "{problem}");
}

/// The child of the tests below: loads the library that is the last argument.
#[test]
#[ignore = "started by other tests, with a library as its last argument"]
fn probe_child() {
    let library = std::env::args().next_back().map(PathBuf::from).unwrap();
    if let Err(problem) = probe_here(&library) {
        eprintln!("{problem}");
        std::process::abort();
    }
}

fn probing() -> StartOptions {
    let arguments = ["--ignored", "--exact", "files::probe_child"].map(Into::into).to_vec();
    let program = std::env::current_exe().expect("a test knows its own path");
    StartOptions {
        probe: Some(Probe { program, arguments, deadline: Duration::from_secs(60) }),
        ..StartOptions::default()
    }
}

#[test]
fn a_library_that_crashes_on_loading_crashes_a_child_only() {
    let directory = directory(&[&crashing()]);
    let world = World::start_with(&[directory.path().to_owned()], &[metrics("Crashing")], &probing());
    let sentence = world.failures[0].to_string();
    assert!(sentence.contains("libcrashing_plugin.so: a trial load"), "{sentence}");
    assert!(sentence.contains("crashed (signal 6)"), "{sentence}");
}

#[test]
fn a_good_library_passes_its_trial() {
    let directory = directory(&[&artifacts::plugin("system-metrics")]);
    let specs = [metrics("SystemMetricsCollector")];
    let mut world = World::start_with(&[directory.path().to_owned()], &specs, &probing());
    assert!(world.failures.is_empty(), "{:?}", world.failures);
    assert!(!world.round().system.is_empty());
}

#[test]
fn a_trial_that_does_not_end_is_killed() {
    // The library follows as the shell's `$0`.
    let arguments = ["-c", "exec sleep 3600"].map(Into::into).to_vec();
    let probe = Probe { program: "/bin/sh".into(), arguments, deadline: Duration::from_millis(200) };
    let problem =
        Library::load(&tiny("tiny-third", "Third", "tiny.third").build(), Some(&probe)).err().unwrap();
    assert!(matches!(problem.fault, FileFault::Probe(ProbeFault::TimedOut { .. })), "{problem}");
}
