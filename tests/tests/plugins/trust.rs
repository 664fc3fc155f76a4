//! Files that others could have changed, signatures, hashes: what is refused, and in which words.

use crate::world::{World, directory, metrics};
use orchestrator_core::config::model;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_host::{
    Catalog, FileFault, Ground, PluginFile, Signer, Trust, TrustedKey, VerifiedFile,
};
use orchestrator_tests::artifacts;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Some key: nothing here is signed by it.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const CLASS: &str = "SystemMetricsCollector";

/// A plugin in a directory of its own, and keys.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) library: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = directory(&[&artifacts::plugin("system-metrics")]);
        let library = folder.path().join("liborchestrator_plugin_system_metrics.so");
        Self { folder, library }
    }

    /// Makes a pair of keys in a folder of this name; the public key's line.
    pub(crate) fn keys(&self, name: &str) -> String {
        let out = self.folder.path().join(name);
        tool(&["plugin", "keygen", "--no-password", "--out", text(&out)]);
        let public = fs::read_to_string(out.join("minisign.pub")).expect("a public key");
        public.lines().nth(1).expect("a key").to_owned()
    }

    pub(crate) fn sign(&self, keys: &str) {
        let key = self.folder.path().join(keys).join("minisign.key");
        tool(&["plugin", "sign", text(&self.library), "--key", text(&key), "--force"]);
    }

    /// Adds a byte behind the last section: the library still loads.
    pub(crate) fn tamper(&self) {
        let mut bytes = fs::read(&self.library).expect("a library");
        bytes.push(0);
        fs::write(&self.library, bytes).expect("a library");
    }

    fn catalog(&self, rules: model::Trust) -> Catalog {
        Catalog::scan_trusting(Trust::new(&rules).expect("sound keys"), [self.folder.path()])
    }

    /// The only thing that is told about the directory.
    fn refusal(&self, rules: model::Trust) -> String {
        let catalog = self.catalog(rules);
        assert!(catalog.files().is_empty(), "{:?}", catalog.files());
        let told: Vec<String> = catalog.problems().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            !told[0].contains('\n')
                && told[0].contains(self.folder.path().to_str().expect("a path in UTF-8")),
            "{told:?}"
        );
        told[0].clone()
    }

    fn sha256(&self) -> model::Sha256 {
        PluginFile::inspect(&self.library).expect("a plugin").sha256
    }
}

fn signed_by(keys: &[&str]) -> model::Trust {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    model::Trust { require_signature: true, keys, ..model::Trust::default() }
}

fn lenient() -> model::Trust {
    model::Trust::default()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Calls the program and expects it to succeed.
pub(crate) fn tool(arguments: &[&str]) -> Output {
    let output = called(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub(crate) fn called(arguments: &[&str]) -> Output {
    Command::new(artifacts::orchestrator()).args(arguments).output().expect("the program starts")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions are set");
}

/// Whether files can be given away here.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_signed_library_is_used_and_its_signer_is_known() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    let catalog = scene.catalog(signed_by(&[&key]));
    let id = TrustedKey::parse(&key).unwrap().id();
    let file = catalog.resolve(PluginKind::Metrics, CLASS).unwrap();
    assert_eq!((file.signer, file.ground), (Signer::Key(id), Ground::Signature));
    // A key may be named by its file, too.
    let path = scene.folder.path().join("ours/minisign.pub");
    assert_eq!(scene.catalog(signed_by(&[text(&path)])).files().len(), 1);
    assert!(file.verified().is_ok());
}

#[test]
fn a_run_without_rules_takes_unsigned_files_as_before() {
    let scene = Scene::new();
    let catalog = scene.catalog(lenient());
    let file = &catalog.files()[0];
    assert_eq!((file.signer, file.ground), (Signer::Unsigned, Ground::NotRequired));
    // Without keys nobody can say whether a signature fits, so it counts for nothing.
    let key = scene.keys("ours");
    scene.sign("ours");
    let id = TrustedKey::parse(&key).unwrap().id();
    assert_eq!(scene.catalog(lenient()).files()[0].signer, Signer::Unverified(id));
    fs::write(format!("{}.minisig", scene.library.display()), "no signature").unwrap();
    assert_eq!(scene.catalog(lenient()).files()[0].signer, Signer::Unsigned);
}

#[test]
fn a_tampered_file_is_refused_even_where_no_signature_is_required() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    scene.tamper();
    let sentence = scene.refusal(signed_by(&[&key]));
    assert!(sentence.contains("does not fit: the file or the signature was changed"), "{sentence}");
    let rules = model::Trust { require_signature: false, ..signed_by(&[&key]) };
    assert_eq!(scene.refusal(rules), sentence);
}

#[test]
fn a_file_that_is_swapped_between_check_and_load_is_refused() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    let catalog = scene.catalog(signed_by(&[&key]));
    let file = catalog.resolve(PluginKind::Metrics, CLASS).unwrap();
    scene.tamper();
    let problem = file.verified().unwrap_err();
    assert!(matches!(problem.fault, FileFault::Trust(_)), "{problem}");
    // Another library that is signed as well is not the one that was checked either.
    scene.sign("ours");
    let problem = file.verified().unwrap_err();
    assert!(matches!(problem.fault, FileFault::Changed), "{problem}");
}

#[test]
fn what_is_verified_is_what_is_loaded_whatever_happens_to_the_file() {
    let scene = Scene::new();
    let trust = Arc::new(Trust::default());
    let verified = VerifiedFile::open(&scene.library, &trust).unwrap();
    let whole = fs::read(&scene.library).unwrap();
    fs::write(&scene.library, "no library any more").unwrap();
    let received = {
        let handle = std::os::fd::AsFd::as_fd(verified.sealed()).try_clone_to_owned().unwrap();
        VerifiedFile::receive(handle, &scene.library, Some(&blake3_of(&verified))).unwrap()
    };
    assert_eq!(received.file().hash, verified.file().hash);
    assert_eq!(received.file().size, whole.len() as u64);
    assert!(orchestrator_plugin_host::Library::load_verified(&received, None).is_ok());
}

fn blake3_of(verified: &VerifiedFile) -> orchestrator_plugin_host::ContentHash {
    verified.file().hash
}

#[test]
fn whoever_swaps_files_as_fast_as_he_can_gets_nothing_loaded_but_what_was_signed() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    let good = scene.sha256();
    let evil = scene.folder.path().join("evil");
    let whole = fs::read(&scene.library).unwrap();
    let bad = [whole.as_slice(), b"evil"].concat();
    fs::write(&evil, &bad).unwrap();
    let trust = Arc::new(Trust::new(&signed_by(&[&key])).unwrap());
    let done = AtomicBool::new(false);
    let (mut taken, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // What the name means changes at once, and its content in place.
            while !done.load(Ordering::Relaxed) {
                swap(&scene.library, &evil);
                swap(&scene.library, &evil);
                fs::write(&scene.library, &bad).unwrap();
                fs::write(&scene.library, &whole).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(60);
        while (taken < 20 || refused < 20) && Instant::now() < end {
            match VerifiedFile::open(&scene.library, &trust) {
                Ok(verified) => {
                    assert_eq!(verified.file().sha256, good, "what nobody signed was verified");
                    let bytes = fs::read(sealed_path(&verified)).unwrap();
                    assert!(bytes == whole, "what was sealed is not what was verified");
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused: nothing was swapped");
}

/// Exchanges what two names mean, at once.
fn swap(one: &Path, other: &Path) {
    let here = rustix::fs::CWD;
    rustix::fs::renameat_with(here, one, here, other, rustix::fs::RenameFlags::EXCHANGE).expect("two files");
}

fn sealed_path(verified: &VerifiedFile) -> PathBuf {
    let number = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(verified.sealed()));
    format!("/proc/self/fd/{number}").into()
}

#[test]
fn a_wrong_key_is_named() {
    let scene = Scene::new();
    let (ours, theirs) = (scene.keys("ours"), scene.keys("theirs"));
    scene.sign("theirs");
    let sentence = scene.refusal(signed_by(&[&ours]));
    let id = |key: &str| TrustedKey::parse(key).unwrap().id().to_string();
    let expected =
        format!("signed by key {}, which is not in plugins.trust.keys ({})", id(&theirs), id(&ours));
    assert!(sentence.contains(&expected), "{sentence}");
}

#[test]
fn an_unsigned_file_is_refused_where_a_signature_is_required() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    let sentence = scene.refusal(signed_by(&[&key]));
    assert!(sentence.contains("it is not signed"), "{sentence}");
    assert!(sentence.contains("system_metrics.so.minisig"), "{sentence}");
    let rules =
        model::Trust { allow_unsigned_from: vec![scene.folder.path().to_owned()], ..signed_by(&[&key]) };
    assert_eq!(scene.catalog(rules).files()[0].ground, Ground::Directory);
    let rules = model::Trust { sha256: vec![scene.sha256()], ..signed_by(&[&key]) };
    assert_eq!(scene.catalog(rules).files()[0].ground, Ground::Pinned);
}

#[test]
fn a_revoked_hash_beats_everything() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    let hash = scene.sha256();
    let rules = model::Trust {
        revoked: vec![hash],
        sha256: vec![hash],
        allow_unsigned_from: vec![scene.folder.path().to_owned()],
        ..signed_by(&[&key])
    };
    let sentence = scene.refusal(rules);
    assert!(sentence.contains(&format!("its SHA-256 {hash} is in plugins.trust.revoked")), "{sentence}");
}

#[test]
fn with_a_list_of_hashes_only_those_pass() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    scene.sign("ours");
    let rules = model::Trust { sha256: vec![model::Sha256([7; 32])], ..signed_by(&[&key]) };
    let sentence = scene.refusal(rules);
    assert!(sentence.contains("is not in plugins.trust.sha256"), "{sentence}");
}

/// Lets a user write a file by a POSIX access control list; `false` where the file system has none.
fn grant_by_list(path: &Path, user: u32) -> bool {
    const NOBODY: u32 = u32::MAX;
    // Tag, permissions, whom: owner, a user, the group, the mask, all others.
    let entries = [(1_u16, 6_u16, NOBODY), (2, 6, user), (4, 4, NOBODY), (16, 6, NOBODY), (32, 4, NOBODY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, whom) in entries {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(whom.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    match rustix::fs::setxattr(path, "system.posix_acl_access", &list, flags) {
        Ok(()) => true,
        Err(rustix::io::Errno::OPNOTSUPP) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let scene = Scene::new();
    mode(&scene.library, 0o666);
    let sentence = scene.refusal(lenient());
    assert!(sentence.contains("it is writable by everyone (mode 0666)"), "{sentence}");
    assert!(sentence.contains(&format!("chmod o-w {}", scene.library.display())), "{sentence}");
    mode(&scene.library, 0o664);
    if is_root() {
        chown(&scene.library, None, Some(4711)).unwrap();
        let sentence = scene.refusal(lenient());
        assert!(sentence.contains("it is writable by the group 4711"), "{sentence}");
        chown(&scene.library, None, Some(0)).unwrap();
    }
    // The own group, as umask 0002 leaves it.
    assert_eq!(scene.catalog(lenient()).files().len(), 1);
    if grant_by_list(&scene.library, 4711) {
        let sentence = scene.refusal(lenient());
        assert!(sentence.contains("those whom its access control list names"), "{sentence}");
        // The group's bits bound what the list allows.
        mode(&scene.library, 0o644);
        assert_eq!(scene.catalog(lenient()).files().len(), 1);
    }
}

#[test]
fn a_directory_that_others_may_write_is_not_read() {
    let scene = Scene::new();
    for (bits, shown) in [(0o777, "mode 0777"), (0o1777, "mode 1777")] {
        mode(scene.folder.path(), bits);
        let sentence = scene.refusal(lenient());
        assert!(sentence.contains(shown) && sentence.contains("nothing of it was read"), "{sentence}");
    }
    mode(scene.folder.path(), 0o775);
    assert_eq!(scene.catalog(lenient()).files().len(), 1);
}

#[test]
fn a_directory_below_one_that_everyone_may_write_is_refused_unless_it_is_sticky() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("plugins");
    fs::create_dir(&inner).unwrap();
    fs::copy(artifacts::plugin("system-metrics"), inner.join("a.so")).unwrap();
    mode(outer.path(), 0o777);
    let told: Vec<_> = Catalog::scan([&inner]).problems().map(ToString::to_string).collect();
    assert!(
        told[0].contains(&format!("the directory {} above it is writable", outer.path().display())),
        "{told:?}"
    );
    mode(outer.path(), 0o1777);
    assert_eq!(Catalog::scan([&inner]).files().len(), 1);
}

#[test]
fn a_directory_that_is_a_link_is_refused_and_a_link_on_the_way_is_followed() {
    let scene = Scene::new();
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link");
    symlink(scene.folder.path(), &link).unwrap();
    let told: Vec<_> = Catalog::scan([&link]).problems().map(ToString::to_string).collect();
    assert!(told[0].contains("it is a symbolic link"), "{told:?}");
    assert!(told[0].contains(scene.folder.path().to_str().unwrap()), "{told:?}");
    // Refused by the one name, read by the other, and once only.
    let real = scene.folder.path();
    let catalog = Catalog::scan([&link, real, &real.join("../").join(real.file_name().unwrap())]);
    assert_eq!((catalog.files().len(), catalog.problems().count()), (1, 1));
    fs::create_dir(scene.folder.path().join("deep")).unwrap();
    fs::copy(&scene.library, scene.folder.path().join("deep/a.so")).unwrap();
    assert_eq!(Catalog::scan([link.join("deep")]).files().len(), 1);
    assert_eq!(Catalog::scan([scene.folder.path().join("deep/../deep")]).files().len(), 1);
}

#[test]
fn a_link_to_a_file_is_followed_and_what_it_leads_to_is_checked() {
    let scene = Scene::new();
    let plugins = tempfile::tempdir().unwrap();
    symlink(&scene.library, plugins.path().join("linked.so")).unwrap();
    symlink("linked.so", plugins.path().join("twice.so")).unwrap();
    assert_eq!(Catalog::scan([plugins.path()]).files().len(), 2);
    mode(&scene.library, 0o666);
    let catalog = Catalog::scan([plugins.path()]);
    assert!(catalog.files().is_empty());
    let told: Vec<_> = catalog.problems().map(ToString::to_string).collect();
    assert!(told[0].contains("linked.so: it is writable by everyone"), "{told:?}");
    assert!(told[0].contains(&format!("chmod o-w {}", scene.library.display())), "{told:?}");
}

#[test]
fn a_directory_that_may_be_passed_but_not_listed_holds_files_all_the_same() {
    let scene = Scene::new();
    mode(scene.folder.path(), 0o711);
    let opened = VerifiedFile::open(&scene.library, &Arc::default());
    assert!(opened.is_ok(), "{opened:?}");
    if is_root() {
        // As a user who may not list what belongs to root.
        let as_nobody = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(artifacts::orchestrator())
            .args(["plugin", "verify", text(&scene.library), "--key", KEY])
            .output();
        let Ok(output) = as_nobody else { return eprintln!("skipped: setpriv is not there") };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("it is not signed"), "{said}");
    }
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !is_root() {
        return eprintln!("skipped: only root can give files away");
    }
    let scene = Scene::new();
    chown(&scene.library, Some(4711), None).unwrap();
    let sentence = scene.refusal(lenient());
    assert!(sentence.contains("it belongs to user 4711") && sentence.contains("`chown 0`"), "{sentence}");
    chown(&scene.library, Some(0), None).unwrap();
    chown(scene.folder.path(), Some(4711), None).unwrap();
    let sentence = scene.refusal(lenient());
    assert!(sentence.contains("it belongs to user 4711"), "{sentence}");
    assert!(sentence.contains("nothing of it was read"), "{sentence}");
}

#[test]
fn special_files_are_passed_over_without_waiting() {
    let scene = Scene::new();
    let pipe = scene.folder.path().join("pipe.so");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert_eq!(scene.catalog(lenient()).files().len(), 1);
    fs::remove_file(&scene.library).unwrap();
    fs::rename(&pipe, &scene.library).unwrap();
    let problem = VerifiedFile::open(&scene.library, &Arc::default()).unwrap_err();
    assert!(problem.to_string().contains("no regular file"), "{problem}");
}

#[test]
fn a_refused_library_is_no_mystery_to_who_needs_it() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    let error =
        scene.catalog(signed_by(&[&key])).resolve(PluginKind::Metrics, CLASS).unwrap_err().to_string();
    assert!(error.contains("cannot be used") && error.contains("it is not signed"), "{error}");
    mode(scene.folder.path(), 0o777);
    let error = scene.catalog(lenient()).resolve(PluginKind::Metrics, CLASS).unwrap_err().to_string();
    assert!(error.contains("writable by everyone"), "{error}");
    mode(scene.folder.path(), 0o755);
    let world = World::start(&[scene.folder.path().to_owned()], &[metrics(CLASS)]);
    assert!(world.failures.is_empty(), "{:?}", world.failures);
}

#[test]
fn a_run_refuses_what_its_configuration_does_not_trust_before_anything_runs() {
    let scene = Scene::new();
    let key = scene.keys("ours");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/a"), "a").unwrap();
    let config = folder.path().join("config.yaml");
    let lines = format!(
        "binary: {{path: /bin/cat, flags: ['{{input_file}}'], stdout: '{{output_file}}'}}\n\
         input: {{files_directory: in}}\noutput: {{directory: out}}\ncalibration: {{enabled: false}}\n\
         plugins:\n  directories: [{}]\n  capacity: []\n  trust: {{require_signature: true, keys: [{key}]}}\n",
        scene.folder.path().display()
    );
    fs::write(&config, lines).unwrap();
    // Beside the program lie unsigned libraries, too.
    let run = |command: &str| called(&[command, text(&config)]);
    for command in ["check", "run"] {
        let refused = run(command);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(69), "{said}");
        assert!(said.contains("it is not signed"), "{said}");
    }
    scene.sign("ours");
    let done = run("run");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(!said.contains("it is not signed"), "nothing needs the libraries beside the program: {said}");
    let audits: Vec<&str> = said.lines().filter(|line| line.contains("plugin audit")).collect();
    let [audit] = audits[..] else { panic!("one line for one plugin: {said}") };
    let id = TrustedKey::parse(&key).unwrap().id().to_string();
    for part in [
        &id,
        &scene.sha256().to_string(),
        text(&scene.library),
        "trusted_by=\"signature\"",
        "isolation=\"sandbox\"",
        "grants=\"none\"",
    ] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    fs::write(&config, fs::read_to_string(&config).unwrap().replace(&key, "nothing.pub")).unwrap();
    let refused = run("check");
    assert_eq!(refused.status.code(), Some(78), "{}", String::from_utf8_lossy(&refused.stderr));
}

#[test]
fn grants_that_do_nothing_are_warned_of() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/a"), "a").unwrap();
    let config = folder.path().join("config.yaml");
    let warned = |isolation: &str, grants: &str| {
        let lines = format!(
            "binary: {{path: /bin/cat, flags: ['{{input_file}}'], stdout: '{{output_file}}'}}\n\
             input: {{files_directory: in}}\noutput: {{directory: out}}\nplugins:\n  directories: [{}]\n  \
             capacity: []\n  metrics: [{{name: m, class: {CLASS}, isolation: {isolation}, grants: {grants}}}]\n",
            scene.folder.path().display()
        );
        fs::write(&config, lines).unwrap();
        let output = called(&["check", text(&config)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        // Lines are broken where the terminal ends.
        said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    };
    let gone = warned("sandbox", "{read: [/nowhere/at/all, /proc/stat]}");
    assert!(gone.contains("/nowhere/at/all does not exist") && !gone.contains("/proc/stat does"), "{gone}");
    for (isolation, grants) in [("process", "{network: true}"), ("in_process", "{environment: [A]}")] {
        let idle = warned(isolation, grants);
        assert!(idle.contains(&format!("has no effect with `isolation: {isolation}`")), "{idle}");
    }
    let sound = warned("process", "{environment: [A]}") + &warned("sandbox", "{network: true}");
    assert!(!sound.contains("grants"), "{sound}");
}
