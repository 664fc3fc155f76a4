//! Plugins that mean harm. In a sandbox none of them ends the host, holds up the others, or gets at what it may not.

use crate::fixtures::{crashing, misbehaving, tiny, zoo};
use crate::world::{World, directory, facts, metrics, with_config};
use orchestrator_core::config::model::{Grants, Isolation};
use orchestrator_plugin_host::InstanceSpec;
use orchestrator_tests::dice::Dice;
use orchestrator_tests::processes::wait_until;
use serde_json::{Value, json};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

const BEAST: &str = "my_Beast";

/// An instance that does `act` from its second round on.
fn beast(act: &str, more: Value) -> InstanceSpec {
    let mut config = json!({ "act": act });
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
    let mut spec = with_config(metrics("Beast"), config);
    spec.isolation = Isolation::Sandbox;
    spec
}

fn good() -> InstanceSpec {
    let mut spec = metrics("Good");
    spec.isolation = Isolation::InProcess;
    spec
}

fn world(specs: &[InstanceSpec]) -> World {
    let directory = directory(&[&zoo(), &misbehaving()]);
    World::start(&[directory.path().to_owned()], specs)
}

/// Whether the act was allowed, after as many rounds as it takes until it was tried.
fn allowed(spec: InstanceSpec) -> bool {
    let mut world = world(&[spec]);
    let round = world.rounds_until(|_, round| round.system.contains_key("zoo.allowed"));
    assert!(world.failed.is_empty(), "{:?}", world.failed);
    round.system["zoo.allowed"] == 1.0
}

#[test]
fn what_ends_a_process_ends_the_beasts_own_and_the_others_go_on() {
    for (act, words) in [
        ("abort", "signal 6"),
        ("segfault", "signal 11"),
        ("exit", "exit"),
        ("spin", "did not answer within"),
        ("deadlock", "did not answer within"),
        ("hog", "memory"),
        ("close_all", ""),
    ] {
        let mut spec = beast(act, json!({}));
        let hangs = matches!(act, "spin" | "deadlock");
        spec.deadline = if hangs { Duration::from_millis(1500) } else { Duration::from_secs(60) };
        let mut world = world(&[spec, good()]);
        let round = world.rounds_until(|world, _| !world.failed.is_empty());
        let told = world.troubles(BEAST);
        assert!(told[0].contains("`my_Beast`") && told[0].contains("libzoo_plugin.so"), "{act}: {told:?}");
        assert!(told[0].contains(words) && told[0].lines().count() == 1, "{act}: {told:?}");
        let calls = round.system["good.calls"];
        assert!(world.round().system["good.calls"] > calls, "{act}: the good plugin stood still");
        assert!(world.troubles("my_Good").is_empty(), "{act}");
    }
}

#[test]
fn a_flood_of_words_neither_wins_time_nor_is_heard_to_the_end() {
    for isolation in [Isolation::Process, Isolation::Sandbox] {
        let mut spec = beast("flood_line", json!({}));
        spec.isolation = isolation;
        spec.deadline = Duration::from_secs(2);
        let mut world = world(&[spec, good()]);
        let _round = world.rounds_until(|world, _| !world.failed.is_empty());
        let told = world.troubles(BEAST);
        let ends = ["did not answer within", "more bytes than any job needs"];
        assert!(ends.iter().any(|words| told[0].contains(words)), "{isolation:?}: {told:?}");
        assert!(world.round().system.contains_key("good.calls"));
    }
}

#[test]
fn a_beast_that_died_is_started_again() {
    let mut world = world(&[beast("abort", json!({})), good()]);
    let _dead = world.rounds_until(|world, _| !world.failed.is_empty());
    let again =
        world.rounds_until(|world, round| world.failed.len() > 1 || round.system.contains_key("zoo.round"));
    assert!(again.system.contains_key("good.calls"));
}

#[test]
fn a_sandbox_denies_files_sockets_signals_and_processes() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret").unwrap();
    let new = folder.path().join("new");
    let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
    let path = |path: &Path| json!({ "path": path });
    let acts = [
        ("read_file", path(Path::new("/etc/shadow"))),
        ("read_file", path(&secret)),
        ("read_file", path(Path::new("/proc/1/environ"))),
        ("write_file", path(&new)),
        ("write_file", path(&secret)),
        ("write_file", path(Path::new("/dev/shm/zoo"))),
        ("remove_file", path(&secret)),
        ("tcp_connect", json!({ "port": tcp.local_addr().unwrap().port() })),
        ("tcp_listen", json!({})),
        ("udp", json!({ "port": udp.local_addr().unwrap().port() })),
        ("unix_socket", path(&folder.path().join("socket"))),
        ("signal_parent", json!({})),
        ("trace_parent", json!({})),
        ("fork", json!({})),
        ("execute", json!({})),
    ];
    for (act, more) in acts {
        let words = format!("{act} {more}");
        assert!(!allowed(beast(act, more)), "a sandbox allowed {words}");
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "a secret");
    assert!(!new.exists());
    drop(unix);
}

#[test]
fn a_pair_of_sockets_sends_nothing_outside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("datagrams");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    for grants in [
        Grants::default(),
        Grants { observer: true, ..Grants::default() },
        Grants { network: true, ..Grants::default() },
    ] {
        let mut spec = beast("raw_pair", json!({ "path": path }));
        let words = format!("{grants:?}");
        spec.grants = grants;
        assert!(!allowed(spec), "a sandbox allowed it with {words}");
        assert!(socket.recv(&mut [0; 8]).is_err(), "a datagram came out with {words}");
    }
    let mut free = beast("raw_pair", json!({ "path": path }));
    free.isolation = Isolation::Process;
    assert!(allowed(free), "the act itself fails");
    assert!(socket.recv(&mut [0; 8]).is_ok());
}

#[test]
fn a_grant_opens_what_it_names_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
    std::fs::write(&open, "1").unwrap();
    std::fs::write(&closed, "2").unwrap();
    let granted = |act: &str, more: Value, grants: Grants| {
        let mut spec = beast(act, more);
        spec.grants = grants;
        allowed(spec)
    };
    let read = || Grants { read: vec![open.clone()], ..Grants::default() };
    assert!(granted("read_file", json!({ "path": open }), read()));
    assert!(!granted("read_file", json!({ "path": closed }), read()));
    assert!(!granted("write_file", json!({ "path": open }), read()));
    let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = json!({ "port": tcp.local_addr().unwrap().port() });
    let network = || Grants { network: true, ..Grants::default() };
    assert!(granted("tcp_connect", port.clone(), network()));
    assert!(!granted("read_file", json!({ "path": closed }), network()));
    let observer = || Grants { observer: true, ..Grants::default() };
    assert!(granted("read_file", json!({ "path": closed }), observer()));
    assert!(!granted("write_file", json!({ "path": open }), observer()));
    assert!(!granted("tcp_connect", port, observer()));
    assert!(!granted("signal_parent", json!({}), observer()));
    assert!(!granted("execute", json!({}), observer()));
}

#[test]
fn floods_and_nonsense_are_cut_whatever_the_isolation() {
    for isolation in [Isolation::InProcess, Isolation::Process, Isolation::Sandbox] {
        for act in ["nan", "million", "invalid_utf8"] {
            let mut spec = beast(act, json!({}));
            spec.isolation = isolation;
            spec.deadline = Duration::from_secs(60);
            let mut world = world(&[spec, good()]);
            let round = world.rounds_until(|world, _| world.host.stats()[0].dropped_values > 0);
            assert!(round.system.len() <= 10_002, "{act}: {} values", round.system.len());
            assert!(round.system.values().all(|value| value.is_finite()));
            assert!(world.failed.is_empty(), "{act}: {:?}", world.failed);
        }
    }
}

#[test]
fn values_of_many_processes_are_bounded_together_whatever_the_isolation() {
    for isolation in [Isolation::InProcess, Isolation::Process, Isolation::Sandbox] {
        let mut spec = beast("many_of_each", json!({}));
        spec.isolation = isolation;
        spec.deadline = Duration::from_secs(60);
        let mut world = world(&[spec]);
        // More than travel at once.
        let processes = (1..=70).map(|pid| facts(pid.into(), pid, &[])).collect();
        let round = world.round_over(processes, Default::default());
        let values: usize = round.processes.iter().map(|(_, metrics)| metrics.len()).sum();
        assert!(values <= 50_000, "{isolation:?}: {values} values");
        // A slow machine's round ends without them; what was dropped is counted when they come.
        let dropped = || world.host.stats()[0].dropped_values;
        wait_until("values that are dropped", Duration::from_secs(60), || dropped() > 0);
        let dropped = dropped();
        assert!((20_000..20_100).contains(&dropped), "{isolation:?}: {dropped} dropped");
        assert!(world.failed.is_empty(), "{:?}", world.failed);
    }
}

#[test]
fn a_name_of_a_gigabyte_costs_the_sandbox_alone() {
    let before = resident();
    let mut spec = beast("long_name", json!({}));
    spec.deadline = Duration::from_secs(60);
    let mut world = world(&[spec, good()]);
    for _ in 0..5 {
        assert!(world.round().system.contains_key("good.calls"));
    }
    assert!(resident() < before + (256 << 20), "the host grew");
}

#[test]
fn leaks_stay_in_the_sandbox() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut world = world(&[beast("leak_fds", json!({})), beast_named("threads", "leak_threads"), good()]);
    let _first = world.round();
    let (fds, threads) = (descriptors(), std::fs::read_dir("/proc/self/task").unwrap().count());
    for _ in 0..20 {
        let _round = world.round();
    }
    assert!(descriptors() <= fds + 2, "{} descriptors, {fds} before", descriptors());
    assert!(std::fs::read_dir("/proc/self/task").unwrap().count() <= threads + 2);
    assert!(world.round().system.contains_key("good.calls"));
}

#[test]
fn a_leak_of_threads_ends_in_a_restart() {
    let mut spec = beast("leak_threads", json!({}));
    // A thread's stack counts as address space: 2000 of them, and room for the library.
    spec.max_memory = 32 << 30;
    let mut world = world(&[spec, good()]);
    let _dead = world.rounds_until(|world, _| !world.failed.is_empty());
    let told = world.troubles(BEAST);
    assert!(told[0].contains("threads, and 256 are allowed"), "{told:?}");
    assert!(world.round().system.contains_key("good.calls"));
}

#[test]
fn a_leak_of_memory_ends_in_a_restart() {
    let mut spec = beast("leak_memory", json!({ "step": 64 << 20 }));
    spec.max_memory = 256 << 20;
    let mut world = world(&[spec, good()]);
    let _dead = world.rounds_until(|world, _| !world.failed.is_empty());
    assert!(world.troubles(BEAST)[0].contains("memory"), "{:?}", world.troubles(BEAST));
}

#[test]
fn a_build_that_aborts_on_panics_is_refused_in_process_and_welcome_apart() {
    let aborting = tiny("tiny-abort", "Aborting", "tiny.abort").flags(&["-C", "panic=abort"]).build();
    for (isolation, works) in
        [(Isolation::InProcess, false), (Isolation::Process, true), (Isolation::Sandbox, true)]
    {
        let mut spec = metrics("Aborting");
        spec.isolation = isolation;
        let mut world = World::of(&aborting, &[spec]);
        assert_eq!(world.failures.is_empty(), works, "{isolation:?}: {:?}", world.failures);
        assert_eq!(world.round().system.contains_key("tiny.abort"), works, "{isolation:?}");
    }
}

#[test]
fn a_constructor_that_crashes_is_one_sentence() {
    for isolation in [Isolation::Process, Isolation::Sandbox] {
        let mut spec = metrics("Crashing");
        spec.isolation = isolation;
        let directory = directory(&[&crashing(), &misbehaving()]);
        let mut world = World::start(&[directory.path().to_owned()], &[spec, good()]);
        let _told = world.rounds_until(|world, _| !world.failures.is_empty() || !world.failed.is_empty());
        let at_once = world.failures.first().map(ToString::to_string);
        let told = at_once.unwrap_or_else(|| world.troubles("my_Crashing")[0].clone());
        assert!(told.contains("libcrashing_plugin.so") && told.contains("signal 6"), "{told}");
        assert!(world.round().system.contains_key("good.calls"));
    }
}

#[test]
fn two_hundred_flipped_bits_never_end_the_host() {
    let whole = std::fs::read(tiny("tiny-first", "Twice", "tiny.first").build()).unwrap();
    let mut dice = Dice::from_environment();
    let mut outcomes = [0_u32; 2];
    for number in 0..200 {
        let mut bytes = whole.clone();
        // Every other one hits the headers and tables that the loader goes by.
        let reach = if number % 2 == 0 { bytes.len() } else { bytes.len().min(16 << 10) };
        let bit = dice.below(reach as u64 * 8);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libflipped.so"), &bytes).unwrap();
        let mut spec = metrics("Twice");
        spec.isolation = Isolation::Sandbox;
        spec.deadline = Duration::from_secs(5);
        let mut world = World::start(&[folder.path().to_owned()], &[spec]);
        let _round = world.round_over(vec![facts(1, std::process::id(), &[])], Default::default());
        let works = world.failures.is_empty() && world.failed.is_empty();
        outcomes[usize::from(works)] += 1;
    }
    assert!(
        outcomes[0] > 0 && outcomes[1] > 0,
        "refused and harmless flips: {outcomes:?}, seed {}",
        dice.seed
    );
}

fn beast_named(name: &str, act: &str) -> InstanceSpec {
    InstanceSpec { name: name.to_owned(), ..beast(act, json!({})) }
}

/// The largest resident memory of this process so far, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    kilobytes.expect("a number") * 1024
}
