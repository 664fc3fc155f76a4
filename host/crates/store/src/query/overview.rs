//! The state at a glance.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator_core::Timestamp;
use orchestrator_core::scheduler::{Counts, FailureCategory, FailureReason, TaskState};

use super::StateReader;
use crate::error::StoreError;
use crate::lock::Holder;
use crate::rows::{Outcome, instant, state};
use crate::runs::{self, RunView};
use crate::sql::unsigned;

/// The state at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Tasks by state. Those that were never launched are not recorded: they are among those that wait as far as the last
    /// run said so when it ended in order.
    pub counts: Counts,
    /// COMPLETED after at least one failed attempt.
    pub flaky: u64,
    /// FAILED tasks by category of their last failure.
    pub failures: BTreeMap<FailureCategory, u64>,
    /// The last run.
    pub last_run: Option<RunView>,
    /// Who is at work now.
    pub live: Option<Holder>,
    /// Tasks COMPLETED within the last run.
    pub completed_in_last_run: u64,
    /// Tasks COMPLETED per second over the last minute before `now` (the last run's age, if that is less).
    pub completed_per_second: f64,
}

impl StateReader {
    /// The state at a glance. One pass over the tasks: a fraction of a second per million.
    ///
    /// # Errors
    /// As any reading.
    pub fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        let wrong = self.wrong();
        // One snapshot for all that follows.
        let snapshot = self.connection.unchecked_transaction().map_err(wrong)?;
        let last_run = runs::last(&snapshot).map_err(wrong)?;
        let began = last_run.as_ref().map_or(now, |run| run.started_at);
        let minute = Timestamp(now.0.saturating_sub(60_000_000)).max(began);
        let mut overview = Overview {
            counts: Counts::default(),
            flaky: 0,
            failures: self.failures()?,
            last_run,
            live: self.live(),
            completed_in_last_run: 0,
            completed_per_second: 0.0,
        };
        let sql = "SELECT state, count(*), sum(failures > 0), sum(ended_at >= ?1), sum(ended_at >= ?2)
                   FROM tasks GROUP BY state";
        let mut statement = snapshot.prepare(sql).map_err(wrong)?;
        let mut rows = statement.query([instant(began), instant(minute)]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let number = |index| row.get::<_, Option<i64>>(index).map(|n| unsigned(n.unwrap_or(0)));
            let count = number(1).map_err(wrong)?;
            match state(row.get(0).map_err(wrong)?) {
                Some(TaskState::Pending | TaskState::Terminated) => overview.counts.pending += count,
                Some(TaskState::Calibrating) => overview.counts.calibrating = count,
                Some(TaskState::Running) => overview.counts.running = count,
                Some(TaskState::Failed) => overview.counts.failed = count,
                Some(TaskState::Completed) => {
                    overview.counts.completed = count;
                    overview.flaky = number(2).map_err(wrong)?;
                    overview.completed_in_last_run = number(3).map_err(wrong)?;
                    overview.completed_per_second = rate(number(4).map_err(wrong)?, now.since(minute));
                }
                None => return Err(self.damaged("a task has a state that does not exist".to_owned())),
            }
        }
        let left = overview.last_run.as_ref().filter(|run| run.clean).and_then(|run| run.counts);
        let waiting = &mut overview.counts.pending;
        *waiting = left.map_or(*waiting, |left| left.pending.max(*waiting));
        Ok(overview)
    }

    /// FAILED tasks by category.
    fn failures(&self) -> Result<BTreeMap<FailureCategory, u64>, StoreError> {
        let wrong = self.wrong();
        let sql = "SELECT (SELECT a.reason FROM attempts a WHERE a.task = t.id AND a.outcome = ?2
                           ORDER BY a.id DESC LIMIT 1) AS why, count(*)
                   FROM tasks t WHERE t.state = ?1 GROUP BY why";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let mut rows = statement.query([TaskState::Failed as i64, Outcome::Failed as i64]).map_err(wrong)?;
        let mut failures = BTreeMap::new();
        while let Some(row) = rows.next().map_err(wrong)? {
            let text: Option<String> = row.get(0).map_err(wrong)?;
            let reason = text.and_then(|text| serde_json::from_str::<FailureReason>(&text).ok());
            let Some(reason) = reason else {
                return Err(self.damaged("a failed task has no readable reason".to_owned()));
            };
            *failures.entry(reason.category()).or_insert(0) += unsigned(row.get(1).map_err(wrong)?);
        }
        Ok(failures)
    }
}

fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}
