//! Threads that inspect private outputs: a slow check never holds up a scan or a publication.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::{InputPath, OutputFault};
use orchestrator_ports::{FilesEvent, Sink};

use crate::layout::FilesHandle;

/// An attempt to be judged.
pub(crate) type CheckJob = (AttemptId, InputPath);

/// One worker of the pool; ends when the sender is gone.
pub(crate) fn work(handle: &FilesHandle, jobs: &Arc<Mutex<Receiver<CheckJob>>>, sink: &Sink<FilesEvent>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((attempt, path)) = job else { return };
        let verdict = catch_unwind(AssertUnwindSafe(|| handle.judge(attempt, &path)))
            .unwrap_or_else(|_| Err(OutputFault::CheckFailed { detail: "the check panicked".to_owned() }));
        sink(FilesEvent::Validated { attempt, verdict });
    }
}
