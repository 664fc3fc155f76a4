//! The room itself: its threads and the `Files` port.

use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{FailureReason, Fingerprint, InputPath, OutputFault, SpawnFault};
use orchestrator_ports::{Files, FilesEvent, PrivateOutput, PublishJob, Sink};

use crate::checks::{self, CheckJob};
use crate::durability::OutputFileSystem;
use crate::error::FilesError;
use crate::layout::FilesHandle;
use crate::options::FilesOptions;
use crate::publish::{self, Publisher};
use crate::scan::{Gate, Scanner};
use crate::selector::Selector;

/// What is said when a thread has ended before its time.
const GONE: &str = "a thread of the files room is gone";

/// Files on a local (or mounted) file system. Dropping it ends its threads: publications that were still gathered
/// are not made (they are redone by a resumed run), removals that were asked for are.
pub struct LocalFiles {
    handle: FilesHandle,
    sink: Sink<FilesEvent>,
    stop: Arc<AtomicBool>,
    gate: Arc<Gate>,
    senders: Option<Senders>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Senders {
    scans: Sender<()>,
    checks: Sender<CheckJob>,
    publisher: Sender<publish::Message>,
    discards: Sender<AttemptId>,
}

impl LocalFiles {
    /// Makes the output and private directories where they are missing and starts the threads. The input directory
    /// is looked at by the first scan.
    ///
    /// # Errors
    /// A pattern that cannot be read, directories that cannot be written, a private directory on another file system
    /// than the output directory, threads that cannot be started.
    pub fn start(options: FilesOptions, sink: Sink<FilesEvent>) -> Result<Self, FilesError> {
        let selector = Selector::new(&options.pattern, &options.exclude, options.recursive)?;
        let file_system = make_places(&options)?;
        let check_threads = options.check_threads.max(1);
        let handle = FilesHandle { options: Arc::new(options) };
        let (stop, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::default()));
        let mut threads = Vec::new();

        let (scans, scan_requests) = channel();
        let scanner = Scanner {
            handle: handle.clone(),
            selector,
            sink: sink.clone(),
            stop: Arc::clone(&stop),
            gate: Arc::clone(&gate),
        };
        threads.push(spawn("files-scan", move || scanner.run(&scan_requests))?);

        let (publisher, messages) = channel();
        let worker = Publisher::new(handle.clone(), file_system, sink.clone());
        threads.push(spawn("files-publish", move || worker.run(&messages))?);

        let (discards, attempts) = channel::<AttemptId>();
        let broom = handle.clone();
        threads.push(spawn("files-discard", move || {
            for attempt in attempts {
                match catch_unwind(AssertUnwindSafe(|| broom.remove_attempt(attempt))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%attempt, %error, "private files cannot be removed"),
                    Err(_) => tracing::error!(%attempt, "removing private files panicked"),
                }
            }
        })?);

        // Not joined: a check may run for as long as its command does.
        let (checks, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..check_threads {
            let (handle, jobs, sink) = (handle.clone(), Arc::clone(&jobs), sink.clone());
            drop(spawn("files-check", move || checks::work(&handle, &jobs, &sink))?);
        }
        let senders = Some(Senders { scans, checks, publisher, discards });
        Ok(Self { handle, sink, stop, gate, senders, threads })
    }

    /// The synchronous side, for the thread that launches processes.
    #[must_use]
    pub fn handle(&self) -> FilesHandle {
        self.handle.clone()
    }

    /// False when the thread is gone: whoever waits for its answer must get one all the same.
    fn send<T>(&self, pick: impl Fn(&Senders) -> &Sender<T>, message: T) -> bool {
        let sent = self.senders.as_ref().is_some_and(|senders| pick(senders).send(message).is_ok());
        if !sent {
            tracing::error!("{GONE}");
        }
        sent
    }
}

impl fmt::Debug for LocalFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFiles").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Files for LocalFiles {
    fn inspect(&self, path: &InputPath) -> Result<Fingerprint, FailureReason> {
        self.handle.inspect_input(path)
    }

    fn prepare(&self, attempt: AttemptId, path: &InputPath) -> Result<PrivateOutput, FailureReason> {
        self.handle.prepare(attempt, path).map_err(|fault| match fault {
            SpawnFault::DiskFull { .. } => FailureReason::DiskFull,
            fault => FailureReason::Spawn(fault),
        })
    }

    fn scan(&self) {
        if !self.send(|senders| &senders.scans, ()) {
            (self.sink)(FilesEvent::ScanFailed { detail: GONE.to_owned() });
        }
    }

    fn validate(&self, attempt: AttemptId, path: &InputPath) {
        if !self.send(|senders| &senders.checks, (attempt, path.clone())) {
            let verdict = Err(OutputFault::CheckFailed { detail: GONE.to_owned() });
            (self.sink)(FilesEvent::Validated { attempt, verdict });
        }
    }

    fn publish(&self, job: PublishJob) {
        let attempt = job.attempt;
        if !self.send(|senders| &senders.publisher, publish::Message::Job(job)) {
            let reason = FailureReason::Publish { detail: GONE.to_owned() };
            (self.sink)(FilesEvent::PublishFailed { attempt, reason });
        }
    }

    fn flush(&self) {
        self.send(|senders| &senders.publisher, publish::Message::Flush);
    }

    fn discard(&self, attempt: AttemptId) {
        self.send(|senders| &senders.discards, attempt);
    }
}

impl Drop for LocalFiles {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.gate.open_for_all();
        self.senders = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the files room panicked");
            }
        }
    }
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, FilesError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|source| FilesError::Thread { name, source })
}

fn make_places(options: &FilesOptions) -> Result<OutputFileSystem, FilesError> {
    let (output, partial) = (&options.output_dir, &options.partial_dir);
    let unwritable = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| FilesError::OutputUnwritable { path, source }
    };
    std::fs::create_dir_all(output).map_err(unwritable(output))?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(partial).map_err(unwritable(partial))?;
    probe_write(partial).map_err(unwritable(partial))?;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).map_err(unwritable(path));
    if device(output)? != device(partial)? {
        return Err(FilesError::PartialElsewhere { partial: partial.clone(), output: output.clone() });
    }
    OutputFileSystem::open(output).map_err(unwritable(output))
}

/// Tries what every attempt needs: a directory of its own.
fn probe_write(partial: &Path) -> io::Result<()> {
    let probe = partial.join(format!("probe-{}", std::process::id()));
    std::fs::create_dir(&probe)?;
    std::fs::remove_dir(&probe)
}
