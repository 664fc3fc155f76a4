//! A host of contract 1.0: loads the libraries of its command line in their order, makes an instance of every class,
//! shows them one process, and prints what they answer, a line a value.

use orchestrator_core::metrics::Metrics;
use orchestrator_core::{AttemptId, TaskId};
use orchestrator_plugin_host::{Catalog, InstanceSpec, Library, PluginFile, PluginHost, StartOptions};
use orchestrator_ports::{PluginEvent, PluginHealth, PluginRound, Plugins, ProcessFacts};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn main() {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut specs = Vec::new();
    for file in &files {
        match Library::load(file, None) {
            Ok(_) => specs.extend(specs_of(file)),
            Err(problem) => println!("refused {problem}"),
        }
    }
    let directories: Vec<PathBuf> = files.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let sink = Arc::new(move |event| {
        let _ = sender.lock().map(|sender| sender.send(event));
    });
    let catalog = Catalog::scan(&directories);
    let (host, failures) = PluginHost::start(&catalog, &specs, &StartOptions::default(), sink);
    for failure in failures {
        println!("failed {failure}");
    }
    host.begin_round(Arc::new(round()));
    while let Ok(event) = events.recv_timeout(Duration::from_secs(60)) {
        match event {
            PluginEvent::Said { .. } => {}
            PluginEvent::Health { health: PluginHealth::Ready, .. } => {}
            PluginEvent::Health { health: PluginHealth::Failed { sentence, .. }, .. } => println!("failed {sentence}"),
            PluginEvent::RoundFinished { system, processes, capacity, .. } => {
                for (name, value) in system.iter().chain(processes.iter().flat_map(|(_, metrics)| metrics)) {
                    println!("{name} {value}");
                }
                for answer in capacity {
                    println!("{answer:?}");
                }
                return;
            }
        }
    }
    println!("failed the round did not end");
}

fn specs_of(file: &PathBuf) -> Vec<InstanceSpec> {
    let Ok(file) = PluginFile::inspect(file) else { return Vec::new() };
    let spec = |class: &orchestrator_plugin_host::ClassDescriptor| InstanceSpec {
        name: class.class.clone(),
        kind: class.kind,
        class: class.class.clone(),
        config: serde_json::Map::new(),
        required: false,
        deadline: Duration::from_secs(60),
        interval: None,
    };
    file.descriptor.classes.iter().map(spec).collect()
}

fn round() -> PluginRound {
    let process = ProcessFacts {
        attempt: AttemptId(1),
        task: TaskId(7),
        input_file: "/in/a.dat".into(),
        running_for: Some(Duration::from_secs(3)),
        pid: std::process::id(),
        start_ticks: 1,
        tree: vec![std::process::id()],
        sample: None,
    };
    let current = Metrics::from([("system.cpu.percent".to_owned(), 10.0)]);
    PluginRound { number: 1, processes: vec![process], calibration: Metrics::new(), current }
}
