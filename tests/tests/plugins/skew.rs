//! Plugins built against other versions of the contract.

use crate::fixtures::{changed_contract, tiny};
use crate::world::{World, directory, metrics};
use orchestrator_plugin_host::{Catalog, FileFault, Library};

#[test]
fn another_major_version_is_refused_by_name() {
    let api = changed_contract("api-2.0.0", "2.0.0", &[]);
    let library = tiny("tiny-major", "Major", "tiny.major").against(&api).build();
    let catalog = Catalog::scan([directory(&[&library]).path()]);
    let told = catalog.problems().next().unwrap().to_string();
    assert!(told.contains("libtiny_major.so: it was built against version 2.0.0"), "{told}");
    assert!(told.contains("this host speaks 1.") && told.contains("orchestrator-plugin-api 1"), "{told}");
    let world = World::of(&library, &[metrics("Major")]);
    let sentence = world.failures[0].to_string();
    assert!(sentence.contains("`Major`") && sentence.contains("version 2.0.0"), "{sentence}");
}

/// What a later minor version may do: one more kind, one more service, one more call with a default.
#[test]
fn a_plugin_of_a_later_minor_version_works_and_finds_the_new_service_missing() {
    let api = changed_contract(
        "api-1.2.0",
        "1.2.0",
        &[
            (
                "pub new_capacity: Option<extern \"C\" fn(Request<'_>) -> RResult<CapacityBox, Fault>>,",
                "pub new_capacity: Option<extern \"C\" fn(Request<'_>) -> RResult<CapacityBox, Fault>>,\n\
                 /// Later.\n pub new_later: Option<extern \"C\" fn(u32) -> u32>,",
            ),
            ("if HAS_CAPACITY { Some(new_capacity) } else { None },", "None, new_later: None,"),
            (
                "fn(*mut (), u32, RStr<'_>, ByteSink) -> bool,",
                "fn(*mut (), u32, RStr<'_>, ByteSink) -> bool,\n/// Later.\npub later: extern \"C\" fn(*mut ()) -> u32,",
            ),
            ("process_text, process_environment }", "process_text, process_environment, later }"),
            ("fn answer(", "extern \"C\" fn later(_: *mut ()) -> u32 { 0 }\n\nfn answer("),
            (
                "let _ = state;\n        RResult::ROk(())\n    }",
                "let _ = state;\n        RResult::ROk(())\n    }\n\
                 /// Later.\nfn later(&mut self) -> u32 { 0 }",
            ),
            (
                "/// Makes `host` the current one",
                "/// Later.\npub fn later_service() -> Option<u32> {\n    current().and_then(|host| \
                 host.services.later().map(|later| later(host.context)))\n}\n\n/// Makes `host` the current one",
            ),
            ("pub use author::host::{LogLevel,", "pub use author::host::{later_service, LogLevel,"),
        ],
    );
    let library = tiny("tiny-minor", "Minor", "tiny.minor")
        .replace(
            "1.0)].into())",
            "f64::from(orchestrator_plugin_api::later_service().unwrap_or(77)))].into())",
        )
        .against(&api)
        .build();
    let mut world = World::of(&library, &[metrics("Minor")]);
    assert!(world.failures.is_empty(), "{}", world.failures[0]);
    assert_eq!(world.round().system["tiny.minor"], 77.0);
}

#[test]
fn a_changed_layout_under_the_same_version_is_refused_in_one_line() {
    let version = orchestrator_plugin_api::API_VERSION;
    let words = [
        ("pub retry_after_ms: u32,", "pub retry_after_ms: u64,"),
        ("unwrap_or(u32::MAX),", "unwrap_or(u32::MAX).into(),"),
    ];
    let api = changed_contract("api-changed", version, &words);
    let library = tiny("tiny-layout", "Layout", "tiny.layout").against(&api).build();
    let problem = Library::load(&library, None).err().expect("a changed layout is refused");
    assert!(matches!(problem.fault, FileFault::Layout { .. }), "{problem}");
    let told = problem.to_string();
    assert!(told.lines().count() == 1 && told.len() < 600, "{told}");
    assert!(told.contains("collect_process > result > retry_after_ms: type u32 → u64"), "{told}");
}
