//! A machine that is short of open files. Alone in its program, because the limit holds for all of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use common::{path, places, room, touch};
use orchestrator_core::scheduler::{FailureReason, SpawnFault};
use orchestrator_ports::Files;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_shortage_of_open_files_is_not_the_inputs_fault() {
    let (_keep, input, output) = places();
    touch(&input, &["a"]);
    // The mode does not say that it can be read: it is opened to see.
    std::fs::set_permissions(input.join("a"), Permissions::from_mode(0o044)).unwrap();
    let room = room(&input, &output, |_| ());
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    let found = room.files.inspect(&path("a"));
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(matches!(found, Err(FailureReason::Spawn(SpawnFault::Machine { .. }))), "{found:?}");
    std::fs::set_permissions(input.join("a"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(room.files.inspect(&path("a")).unwrap().size, 1);
}
