//! From nothing to an object in a process of its own.

use super::super::Runner;
use super::super::link::{self, Inbox};
use super::super::page::Page;
use super::super::wire::{Begin, Order, Refusal, Report};
use super::{BYTES, PACKETS, Proxy, Stop, bounded};
use crate::instance::collect::Declared;
use crate::instance::context::words;
use crate::instance::engine::Call;
use crate::instance::failure::InstanceFault;
use crate::instance::jobs::JobReceiver;
use crate::instance::worker::{Worker, start_fault};
use crate::library::{FileFault, FileProblem, PluginFile, VerifiedFile, audit};
use orchestrator_core::config::model::Isolation;
use orchestrator_plugin_api::PluginKind;
use orchestrator_plugin_api::abi::Fault;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

impl<'w> Proxy<'w> {
    /// Starts a runner and waits until its object stands.
    pub(crate) fn start(
        worker: &'w Worker,
        runner: &Runner,
        restore: Option<&[u8]>,
        jobs: &'w JobReceiver,
    ) -> Result<Self, Stop> {
        let file = held(&worker.file).map_err(InstanceFault::Library)?;
        audit(file.file(), &worker.spec);
        let bell = jobs.bell().map_err(InstanceFault::Runner)?;
        let page = Page::new().map_err(InstanceFault::Runner)?;
        let (child, socket) = runner.start().map_err(InstanceFault::Runner)?;
        let described = file.file().class(worker.spec.kind, &worker.spec.class);
        let mut proxy = Self {
            worker,
            jobs,
            bell,
            declared: described.map(Declared::new).unwrap_or_default(),
            child,
            socket,
            page,
            inbox: Inbox::new(),
            sent: Vec::new(),
            waiting: VecDeque::new(),
            budget: PACKETS,
            bytes: BYTES,
            booked: None,
            check: None,
            grace: Instant::now(),
        };
        worker.context.hand_out_only(&worker.spec.grants.environment);
        proxy.begin(&file, restore)?;
        proxy.born()?;
        proxy.book_runner()?;
        Ok(proxy)
    }

    fn begin(&mut self, file: &VerifiedFile, restore: Option<&[u8]>) -> Result<(), Stop> {
        let spec = &self.worker.spec;
        let handed =
            link::send_descriptors(self.socket.as_fd(), &[file.sealed().as_fd(), self.page.descriptor()]);
        if handed.is_err() {
            return Err(self.obituary());
        }
        let config = serde_json::Value::Object(spec.config.clone()).to_string();
        let begin = Begin {
            path: file.file().path.as_os_str().as_bytes(),
            hash: *file.file().hash.as_bytes(),
            capacity: spec.kind == PluginKind::Capacity,
            class: &spec.class,
            config: &config,
            deadline: spec.deadline,
            restore,
            max_memory: spec.max_memory,
            sandbox: (spec.isolation == Isolation::Sandbox).then(|| spec.grants.clone()),
        };
        self.send(&Order::Begin(begin))
    }

    /// Waits for the object. How long, the supervisor decides.
    fn born(&mut self) -> Result<(), Stop> {
        loop {
            self.hear(None)?;
            match self.report()? {
                None => {}
                Some(Report::Ready(spent)) => {
                    let spent = bounded(spent);
                    self.worker.book(&Call { result: Ok(()), wall: spent.wall, cpu: spent.cpu });
                    return Ok(());
                }
                Some(Report::Refused(refusal)) => return Err(self.refused(refusal).into()),
                Some(_) => return Err(self.nonsense("an answer to what it was not asked")),
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> InstanceFault {
        let worker = self.worker;
        let library = |fault| InstanceFault::Library(FileProblem::new(&worker.file.path, fault));
        match refusal {
            Refusal::Sandbox(reason) => InstanceFault::Sandbox { reason: words(&reason) },
            Refusal::Library(reason) => library(FileFault::Isolated { reason: words(&reason) }),
            Refusal::NoConstructor => {
                let reason = format!("it has no constructor of the kind {}", worker.spec.kind);
                library(FileFault::Header { reason })
            }
            Refusal::Constructor(spent, fault) => {
                let (spent, fault) = (bounded(spent), Fault::from(fault));
                worker.book(&Call::<()> { result: Err(fault.clone()), wall: spent.wall, cpu: spent.cpu });
                start_fault(fault)
            }
        }
    }
}

/// The bytes that were verified when an instance of the library was first started: it is started again from them,
/// whatever has become of the file. They are kept to the end of the process, as those of libraries in this process are.
fn held(file: &PluginFile) -> Result<VerifiedFile, FileProblem> {
    static HELD: Mutex<BTreeMap<[u8; 32], VerifiedFile>> = Mutex::new(BTreeMap::new());
    let key = *file.hash.as_bytes();
    if let Some(known) = HELD.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(known.clone());
    }
    let verified = file.verified()?;
    HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verified.clone());
    Ok(verified)
}
