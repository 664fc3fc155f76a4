//! `plugin keygen`, `plugin sign`, `plugin verify`, and the tool minisign.

use crate::trust::{Scene, called, text, tool};
use orchestrator_plugin_host::TrustedKey;
use orchestrator_tests::artifacts;
use orchestrator_tests::dice::Dice;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Made by the tool minisign 0.11: one over the hash of the file, one in the old way over the file itself.
const MINISIGN: [&str; 2] = [
    "untrusted comment: signature from minisign secret key\n\
     RUS9xPpXQpQUdhSZBtfkRmMN5eG8ZM+xdiCVZwRv0NZiz9TtfHD/Z8/7/p4ld0m9i6VzEWQ8uiALhfdqmladRyMDZWawoN7cWA0=\n\
     trusted comment: frozen\n\
     DUZUr1GL5e6vdKRVN19JxyyHLAxzQe3jJ86EBX2gLdsf3FoUmvRRvHmnQHQo9JE5LKRcZ22w3+cPSpPppacKDw==\n",
    "untrusted comment: signature from minisign secret key\n\
     RWS9xPpXQpQUdhp3Me/49WWCMFSGb7cpAH8xvTzYaN1bC7mYTf9oGlcnACx2NL7qCWU8z4oj4MfYsTJMi18b7MRZxpJPQip0Owk=\n\
     trusted comment: frozen legacy\n\
     Iot8E8Nk4sipxC+EaAB+CWlW5R3XgOnbQfKIbEufn1erCTNGQC5oV0RPxvkXbNINBi3ZOTfFXH4fr2CeXss3Cg==\n",
];
const MINISIGN_KEY: &str = "untrusted comment: minisign public key 7614944257FAC4BD\n\
     RWS9xPpXQpQUdhrCKKopFOlkrjK4fm6ZWGmIU1bwhWnRCgAxPCj0Rcfs\n";
/// As `minisign -G -W` wrote it: no password, and no checksum either.
const MINISIGN_SECRET: &str = "untrusted comment: minisign encrypted secret key\n\
     RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAvcT6V0KUFHZOgYYblAehRe1FnxJZy197GR6Z\
     ATxCAXAwFaH6p7fUNBrCKKopFOlkrjK4fm6ZWGmIU1bwhWnRCgAxPCj0RcfsAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

#[test]
fn no_damage_to_a_signature_makes_it_fit() {
    let key = TrustedKey::parse(MINISIGN_KEY).unwrap();
    let mut dice = Dice::from_environment();
    for _ in 0..5000 {
        let mut signature = MINISIGN[dice.below(2) as usize].as_bytes().to_vec();
        // The first line is the only one that is not signed.
        let start = signature.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let at = start + dice.below((signature.len() - start) as u64) as usize;
        let before = signature[at];
        match dice.below(3) {
            0 => drop(signature.remove(at)),
            1 => signature.truncate(at),
            _ => signature[at] = dice.below(256) as u8,
        }
        let text = String::from_utf8_lossy(&signature).into_owned();
        let same = MINISIGN.iter().any(|whole| whole.trim_end() == text.trim_end());
        let fits = key.verify(b"hello plugin\n", &text).is_ok();
        assert!(!fits || same, "at {at}, where {before} was: {text}");
    }
}

#[test]
fn signatures_of_the_tool_minisign_are_verified() {
    let key = TrustedKey::parse(MINISIGN_KEY).unwrap();
    assert_eq!(key.id().to_string(), "7614944257FAC4BD");
    for (signature, comment) in MINISIGN.into_iter().zip(["frozen", "frozen legacy"]) {
        assert_eq!(key.verify(b"hello plugin\n", signature).unwrap(), comment);
        assert!(key.verify(b"hello plugim\n", signature).is_err());
        let forged = signature.replace("trusted comment: frozen", "trusted comment: frosen");
        assert!(key.verify(b"hello plugin\n", &forged).is_err(), "the comment is signed, too");
    }
}

#[test]
fn keys_of_the_tool_minisign_sign() {
    let scene = Scene::new();
    let key = scene.folder.path().join("theirs.key");
    fs::write(&key, MINISIGN_SECRET).unwrap();
    tool(&["plugin", "sign", text(&scene.library), "--key", text(&key)]);
    let public = MINISIGN_KEY.lines().nth(1).unwrap();
    let output = tool(&["plugin", "verify", text(&scene.library), "--key", public]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("signed by key 7614944257FAC4BD"));
    // The form that every version of the tool reads: two comments, 74 bytes `ED…`, 64 bytes.
    let mut name = scene.library.into_os_string();
    name.push(".minisig");
    let signature = fs::read_to_string(name).unwrap();
    let lines: Vec<&str> = signature.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("untrusted comment: ") && lines[2].starts_with("trusted comment: "));
    assert!(lines[1].starts_with("RU") && lines[1].len() == 100 && lines[3].len() == 88, "{signature}");
}

#[test]
fn keys_are_protected_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (out, secret) = (folder.path().join("keys"), folder.path().join("keys/minisign.key"));
    let with = |password: &str, arguments: &[&str]| {
        let mut command = Command::new(artifacts::orchestrator());
        command.args(arguments).env("ORCHESTRATOR_KEY_PASSWORD", password).stdin(std::process::Stdio::null());
        command.output().unwrap()
    };
    let keygen = ["plugin", "keygen", "--out", text(&out)];
    let nobody =
        Command::new(artifacts::orchestrator()).args(keygen).stdin(std::process::Stdio::null()).output();
    assert_eq!(nobody.unwrap().status.code(), Some(78), "no password, and nobody to ask");
    let made = with("horse battery", &keygen);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let content = fs::read_to_string(&secret).unwrap();
    assert_eq!(with("other", &keygen).status.code(), Some(78));
    assert_eq!(fs::read_to_string(&secret).unwrap(), content, "a key was replaced");
    let scene = Scene::new();
    let sign = ["plugin", "sign", text(&scene.library), "--key", text(&secret)];
    let wrong = with("wrong", &sign);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(78), "{said}");
    assert!(said.contains("the password does not open"), "{said}");
    let signed = with("horse battery", &sign);
    assert!(signed.status.success(), "{signed:?}");
    for output in [&made, &wrong, &signed] {
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        let all = String::from_utf8_lossy(&all);
        assert!(!all.contains("battery") && !all.contains(content.lines().nth(1).unwrap()), "{all}");
    }
    let again = with("horse battery", &sign);
    assert_eq!(again.status.code(), Some(2), "a signature was replaced");
}

#[test]
fn verify_answers_by_its_exit_code() {
    let scene = Scene::new();
    let (ours, theirs) = (scene.keys("ours"), scene.keys("theirs"));
    let code = |key: &str| called(&["plugin", "verify", text(&scene.library), "--key", key]).status.code();
    assert_eq!(code(&ours), Some(69), "unsigned");
    scene.sign("ours");
    assert_eq!((code(&ours), code(&theirs), code("no-key")), (Some(0), Some(69), Some(78)));
    scene.tamper();
    assert_eq!(code(&ours), Some(69), "tampered");
}

#[test]
fn what_is_no_plugin_is_signed_only_by_force() {
    let scene = Scene::new();
    scene.keys("ours");
    let (key, file) = (scene.folder.path().join("ours/minisign.key"), scene.folder.path().join("notes.txt"));
    fs::write(&file, "no library").unwrap();
    let arguments = ["plugin", "sign", text(&file), "--key", text(&key)];
    let refused = called(&arguments);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(69), "{said}");
    assert!(!scene.folder.path().join("notes.txt.minisig").exists() && said.contains("--force"), "{said}");
    tool(&[&arguments[..], &["--force"]].concat());
    assert!(scene.folder.path().join("notes.txt.minisig").exists());
}
