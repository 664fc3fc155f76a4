//! The fake files room: private outputs, their inspection, their idempotent publication.

use std::collections::BTreeMap;

use orchestrator_core::scheduler::{Event, FailureReason, InputPath, OutputFault, OutputRecord};
use orchestrator_core::{AttemptId, TaskId};

use super::ledger::{Check, Ledger, ensure};
use super::world::World;

/// What a process writes.
#[derive(Clone, Debug)]
pub(super) enum Output {
    Files(Vec<(InputPath, u64)>),
    Bad(OutputFault),
}

/// An attempt's private directory.
#[derive(Clone, Debug)]
pub(super) struct Private {
    pub(super) output: Output,
}

/// A file under its final name: the version is its author.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Published {
    pub(super) author: AttemptId,
    pub(super) task: TaskId,
    pub(super) epoch: u32,
    size: u64,
}

impl World {
    /// The verdict over a private output.
    pub(super) fn inspect_output(&mut self, attempt: AttemptId) {
        let verdict = match self.private.get(&attempt).map(|private| &private.output) {
            None => Err(OutputFault::Missing),
            Some(Output::Bad(fault)) => Err(fault.clone()),
            Some(Output::Files(files)) => {
                let record =
                    |(path, size): &(InputPath, u64)| OutputRecord { path: path.clone(), size: *size };
                Ok(files.iter().map(record).collect())
            }
        };
        self.say(Event::OutputValidated { attempt, verdict });
    }

    /// Moves an output into place, as ports/src/files.rs promises: whole or not at all, idempotent, and content with
    /// files of the recorded sizes when the private ones are gone. `ledger` is what is durably recorded.
    pub(super) fn publish(&mut self, attempt: AttemptId, outputs: &[OutputRecord], ledger: &Ledger) -> Check {
        let begun = outputs.iter().any(|output| self.author(&output.path) == Some(attempt));
        let fails = !begun && (self.disk_full || self.chance.hits(self.settings.publish_faults));
        if fails {
            let reason = if self.disk_full {
                FailureReason::DiskFull
            } else {
                FailureReason::Publish { detail: "simulated".to_owned() }
            };
            self.tally.count("publish failed");
            self.say(Event::PublishFailed { attempt, reason });
            return Ok(());
        }
        match self.move_files(attempt, outputs, outputs.len(), ledger)? {
            true => self.say(Event::OutputPublished { attempt }),
            false => {
                let reason = FailureReason::Publish { detail: "private files are gone".to_owned() };
                self.tally.count("publish failed: private files are gone");
                self.say(Event::PublishFailed { attempt, reason });
            }
        }
        Ok(())
    }

    /// Moves the first `count` files; a crash may leave it at that. False when they are nowhere.
    pub(super) fn move_files(
        &mut self,
        attempt: AttemptId,
        outputs: &[OutputRecord],
        count: usize,
        ledger: &Ledger,
    ) -> Result<bool, String> {
        for output in &outputs[..count] {
            if self.author(&output.path) == Some(attempt) {
                self.tally.count("file published again without effect");
                continue;
            }
            let old = self.published.get(&output.path);
            let is_private = self.private.get(&attempt).is_some_and(
                |private| matches!(&private.output, Output::Files(files) if files.iter().any(|(path, _)| *path == output.path)),
            );
            if !is_private {
                let there = old.is_some_and(|old| old.size == output.size);
                if !there {
                    return Ok(false);
                }
                continue;
            }
            let published = self.fenced(attempt, output.size, old, ledger)?;
            self.published.insert(output.path.clone(), published);
            self.tally.count("file published");
        }
        Ok(true)
    }

    /// Only the open, accepted attempt of a task may be published, and nothing over another one's files unless the
    /// task became new work in between.
    fn fenced(
        &self,
        attempt: AttemptId,
        size: u64,
        old: Option<&Published>,
        ledger: &Ledger,
    ) -> Result<Published, String> {
        let holder =
            ledger.rows.iter().find(|(_, row)| row.open.as_ref().is_some_and(|open| open.attempt == attempt));
        let Some((task, row)) = holder else {
            return Err(format!("attempt {attempt} published although it is fenced"));
        };
        let accepted = row.open.as_ref().is_some_and(|open| open.accepted.is_some());
        ensure!(accepted, "attempt {attempt} published before its acceptance was recorded");
        if let Some(old) = old {
            let older = old.task == *task && old.epoch < row.epoch;
            ensure!(older, "task {task} published attempt {attempt} over attempt {}", old.author);
        }
        Ok(Published { author: attempt, task: *task, epoch: row.epoch, size })
    }

    fn author(&self, path: &InputPath) -> Option<AttemptId> {
        self.published.get(path).map(|published| published.author)
    }

    /// Removes an attempt's private files.
    pub(super) fn discard(&mut self, attempt: AttemptId) -> Check {
        ensure!(
            !self.processes.contains_key(&attempt),
            "attempt {attempt} was discarded while its process runs"
        );
        self.private.remove(&attempt);
        Ok(())
    }

    /// At the end: what is under its final name was written by the attempt that completed its task.
    pub(super) fn check_published(&self, ledger: &Ledger) -> Check {
        let mut by_task: BTreeMap<TaskId, Vec<&Published>> = BTreeMap::new();
        for published in self.published.values() {
            by_task.entry(published.task).or_default().push(published);
        }
        for (task, files) in by_task {
            let Some(row) = ledger.rows.get(&task) else {
                return Err(format!("task {task} has files but no record"));
            };
            for file in files.iter().filter(|file| file.epoch == row.epoch) {
                let author = file.author;
                let honest = row.completed_by == Some(author);
                ensure!(honest, "task {task} ({:?}) shows a file of attempt {author}", row.state);
            }
        }
        Ok(())
    }
}
