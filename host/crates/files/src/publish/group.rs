//! One group of jobs: contents durable → renames → directories durable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use orchestrator_core::AttemptId;
use orchestrator_core::scheduler::FailureReason;
use orchestrator_ports::PublishJob;

use super::place::{self, Move, Touched};
use crate::durability::{OutputFileSystem, sync_directory, sync_file};
use crate::fault::publish_failure;
use crate::layout::FilesHandle;
use crate::options::Durability;

/// Up to this many files are synced one by one: that waits for their data alone, not for everything else that the
/// machine is writing to the same file system.
const FEW: usize = 4;

type Outcome = Result<(), FailureReason>;

/// A job on its way.
struct Job {
    attempt: AttemptId,
    moves: Vec<Move>,
    outcome: Outcome,
}

/// Publishes the jobs; one outcome a job, in their order.
pub(super) fn publish(
    handle: &FilesHandle,
    file_system: &OutputFileSystem,
    jobs: &[PublishJob],
) -> Vec<(AttemptId, Outcome)> {
    let mut jobs: Vec<Job> = jobs.iter().map(|job| plan(handle, job)).collect();
    let synced = handle.options.durability != Durability::Relaxed;
    if synced {
        sync_contents(handle, file_system, &mut jobs);
    }
    let mut touched = BTreeMap::new();
    for (index, job) in jobs.iter_mut().enumerate().filter(|(_, job)| job.outcome.is_ok()) {
        let mut note = Touched::default();
        job.outcome = place::place(handle, job.attempt, &job.moves, synced, &mut note);
        for directory in note.directories {
            touched.entry(directory).or_insert_with(Vec::new).push(index);
        }
    }
    if synced {
        sync_directories(&mut jobs, touched);
    }
    jobs.into_iter().map(|job| (job.attempt, job.outcome)).collect()
}

fn plan(handle: &FilesHandle, job: &PublishJob) -> Job {
    let (moves, outcome) = match place::plan(handle, job) {
        Ok(moves) => (moves, Ok(())),
        Err(reason) => (Vec::new(), Err(reason)),
    };
    Job { attempt: job.attempt, moves, outcome }
}

/// Makes the contents of all files to be moved durable before any of them gets its final name.
fn sync_contents(handle: &FilesHandle, file_system: &OutputFileSystem, jobs: &mut [Job]) {
    let files: usize = jobs.iter().map(|job| job.moves.len()).sum();
    let one_by_one = files <= FEW || handle.options.durability == Durability::Strict;
    let whole = if one_by_one { Ok(()) } else { file_system.sync() };
    for job in jobs.iter_mut().filter(|job| job.outcome.is_ok()) {
        if let Err(error) = &whole {
            // The system does not say whose data was lost: none of them may count.
            job.outcome = Err(publish_failure("sync", &handle.options.output_dir, error));
        } else if one_by_one {
            job.outcome = job.moves.iter().try_for_each(|file| {
                sync_file(&file.from).map_err(|error| publish_failure("sync", &file.from, &error))
            });
        }
    }
}

/// Makes the new names durable, each directory once; a directory that cannot be synced fails its jobs.
fn sync_directories(jobs: &mut [Job], touched: BTreeMap<PathBuf, Vec<usize>>) {
    for (directory, members) in touched {
        if let Err(error) = sync_directory(&directory) {
            for index in members {
                jobs[index].outcome = Err(publish_failure("sync", &directory, &error));
            }
        }
    }
}
