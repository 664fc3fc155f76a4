//! Streaming scans of the input directory, on a thread of their own.

mod batch;
mod gate;
mod walk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use orchestrator_core::scheduler::Discovered;
use orchestrator_ports::{FilesEvent, Sink};

use crate::layout::FilesHandle;
use crate::selector::Selector;
pub(crate) use batch::Batches;
pub(crate) use gate::Gate;
pub(crate) use walk::Walk;

/// What the scanning thread needs.
pub(crate) struct Scanner {
    pub(crate) handle: FilesHandle,
    pub(crate) selector: Selector,
    pub(crate) sink: Sink<FilesEvent>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) gate: Arc<Gate>,
}

impl Scanner {
    /// One scan a message, until the sender is gone.
    pub(crate) fn run(&self, requests: &Receiver<()>) {
        while requests.recv().is_ok() {
            if catch_unwind(AssertUnwindSafe(|| self.scan())).is_err() {
                let detail = "the scan of the input directory panicked".to_owned();
                (self.sink)(FilesEvent::ScanFailed { detail });
            }
        }
    }

    fn scan(&self) {
        let deliver = |found: Vec<Discovered>| {
            let permit = self.gate.enter();
            (self.sink)(FilesEvent::Discovered { found, permit });
        };
        let mut batches = Batches::new(&deliver);
        let walk = Walk::new(&self.handle.options, &self.selector, &self.stop);
        match walk.run(&mut batches) {
            Ok(report) => {
                batches.flush();
                (self.sink)(FilesEvent::ScanFinished(report));
            }
            Err(error) => {
                let path = self.handle.options.input_dir.display();
                let detail = format!("input directory {path} cannot be read: {error}");
                (self.sink)(FilesEvent::ScanFailed { detail });
            }
        }
    }
}
