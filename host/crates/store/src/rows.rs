//! The rows of tasks and attempts: to and from the database, with their checksums.

use orchestrator_core::TaskId;
use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{ExitStatus, Fingerprint, ProcessIdentity, TaskState};
use orchestrator_core::{AttemptId, Bytes, Timestamp};
use rusqlite::{CachedStatement, Result, Row, params};

use std::time::Duration;

use crate::crc::Crc;
use crate::sql::{signed, unsigned};

/// Columns of a task, in the order of [`TaskRow::read`].
pub(crate) const TASK_COLUMNS: &str =
    "id, path, state, attempts, failures, size, version, command, retry_at, ended_at, crc";
/// Columns of an attempt, in the order of [`AttemptRow::read`].
pub(crate) const ATTEMPT_COLUMNS: &str = "task, id, run, number, slot, calibrating, pid, start_ticks, planned_at, \
    started, ended, exit, outcome, reason, wall, cpu_user, cpu_system, peak_rss, read_bytes, write_bytes, outputs, crc";

/// A row of `tasks`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TaskRow {
    pub(crate) id: TaskId,
    pub(crate) path: Box<[u8]>,
    pub(crate) state: TaskState,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The command under which the last attempt was made.
    pub(crate) command: Option<i64>,
    pub(crate) retry_at: Option<Timestamp>,
    /// When it became COMPLETED or FAILED.
    pub(crate) ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Open = 0,
    Completed = 1,
    Failed = 2,
    Terminated = 3,
}

/// A row of `attempts`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AttemptRow {
    pub(crate) task: TaskId,
    pub(crate) id: AttemptId,
    pub(crate) run: i64,
    pub(crate) number: u32,
    pub(crate) slot: u32,
    pub(crate) calibrating: bool,
    pub(crate) identity: Option<ProcessIdentity>,
    pub(crate) planned_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) exit: Option<ExitStatus>,
    pub(crate) outcome: Outcome,
    /// JSON of a `FailureReason` or, when terminated, of a `TerminationReason`.
    pub(crate) reason: Option<String>,
    pub(crate) usage: Option<Usage>,
    /// See [`crate::outputs`].
    pub(crate) outputs: Option<Vec<u8>>,
}

impl TaskRow {
    /// Reads the row and its stored checksum. `None` when a value is none that we write.
    pub(crate) fn read(row: &Row<'_>) -> Result<(Option<Self>, u32)> {
        let crc = row.get::<_, i64>(10)? as u32;
        Ok((Self::values(row)?.filter(|task| task.crc() == crc), crc))
    }

    fn values(row: &Row<'_>) -> Result<Option<Self>> {
        let Ok(id) = u32::try_from(row.get::<_, i64>(0)?) else { return Ok(None) };
        let Some(state) = state(row.get(2)?) else { return Ok(None) };
        let (Ok(attempts), Ok(failures)) = (row.get(3), row.get(4)) else { return Ok(None) };
        let (size, version): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
        Ok(Some(Self {
            id: TaskId(id),
            path: row.get_ref(1)?.as_blob().unwrap_or_default().into(),
            state,
            attempts,
            failures,
            fingerprint: size
                .zip(version)
                .map(|(size, version)| Fingerprint { size: unsigned(size), version }),
            command: row.get(7)?,
            retry_at: row.get::<_, Option<i64>>(8)?.map(moment),
            ended_at: row.get::<_, Option<i64>>(9)?.map(moment),
        }))
    }

    pub(crate) fn crc(&self) -> u32 {
        let crc = Crc::new().number(i64::from(self.id.0)).blob(Some(&self.path)).number(self.state as i64);
        let crc = crc.number(i64::from(self.attempts)).number(i64::from(self.failures));
        let crc = crc.maybe(self.fingerprint.map(|print| signed(print.size)));
        let crc = crc.maybe(self.fingerprint.map(|print| print.version)).maybe(self.command);
        crc.maybe(self.retry_at.map(instant)).maybe(self.ended_at.map(instant)).finish()
    }

    pub(crate) fn write(&self, statement: &mut CachedStatement<'_>) -> Result<()> {
        statement.execute(params![
            self.id.0,
            &*self.path,
            self.state as u8,
            self.attempts,
            self.failures,
            self.fingerprint.map(|print| signed(print.size)),
            self.fingerprint.map(|print| print.version),
            self.command,
            self.retry_at.map(instant),
            self.ended_at.map(instant),
            stored(self.crc()),
        ])?;
        Ok(())
    }
}

impl AttemptRow {
    /// Reads the row; `None` when a value is none that we write or the checksum is wrong.
    pub(crate) fn read(row: &Row<'_>) -> Result<Option<Self>> {
        let crc = row.get::<_, i64>(21)? as u32;
        Ok(Self::values(row)?.filter(|attempt| attempt.crc() == crc))
    }

    fn values(row: &Row<'_>) -> Result<Option<Self>> {
        let (Ok(task), Ok(number), Ok(slot)) = (row.get(0), row.get(3), row.get(4)) else { return Ok(None) };
        let Some(outcome) = outcome(row.get(12)?) else { return Ok(None) };
        let planned_at = moment(row.get(8)?);
        let after = |index| -> Result<Option<Timestamp>> {
            Ok(row.get::<_, Option<i64>>(index)?.map(|late| planned_at + micros(late)))
        };
        let (pid, ticks): (Option<u32>, Option<i64>) = (row.get(6)?, row.get(7)?);
        Ok(Some(Self {
            task: TaskId(task),
            id: AttemptId(unsigned(row.get(1)?)),
            run: row.get(2)?,
            number,
            slot,
            calibrating: row.get::<_, i64>(5)? != 0,
            identity: pid
                .zip(ticks)
                .map(|(pid, ticks)| ProcessIdentity { pid, start_ticks: unsigned(ticks) }),
            planned_at,
            started_at: after(9)?,
            ended_at: after(10)?,
            exit: row.get::<_, Option<i32>>(11)?.map(exit),
            outcome,
            reason: row.get(13)?,
            usage: usage(row)?,
            outputs: row.get(20)?,
        }))
    }

    fn crc(&self) -> u32 {
        let crc = Crc::new().number(i64::from(self.task.0)).number(signed(self.id.0)).number(self.run);
        let crc = crc.number(i64::from(self.number)).number(i64::from(self.slot));
        let crc = crc.number(i64::from(self.calibrating)).number(self.outcome as i64);
        let crc = crc.maybe(self.identity.map(|process| i64::from(process.pid)));
        let crc = crc.maybe(self.identity.map(|process| signed(process.start_ticks)));
        let crc = crc.number(instant(self.planned_at)).maybe(self.after(self.started_at));
        let crc = crc.maybe(self.after(self.ended_at)).maybe(self.exit.map(|exit| i64::from(code(exit))));
        let crc = crc.blob(self.reason.as_ref().map(String::as_bytes)).blob(self.outputs.as_deref());
        self.numbers().iter().fold(crc, |crc, number| crc.maybe(*number)).finish()
    }

    pub(crate) fn write(&self, statement: &mut CachedStatement<'_>) -> Result<()> {
        let [wall, cpu_user, cpu_system, peak_rss, read_bytes, write_bytes] = self.numbers();
        statement.execute(params![
            self.task.0,
            signed(self.id.0),
            self.run,
            self.number,
            self.slot,
            self.calibrating,
            self.identity.map(|process| process.pid),
            self.identity.map(|process| signed(process.start_ticks)),
            instant(self.planned_at),
            self.after(self.started_at),
            self.after(self.ended_at),
            self.exit.map(code),
            self.outcome as u8,
            self.reason,
            wall,
            cpu_user,
            cpu_system,
            peak_rss,
            read_bytes,
            write_bytes,
            self.outputs,
            stored(self.crc()),
        ])?;
        Ok(())
    }

    /// Microseconds since it was planned.
    fn after(&self, at: Option<Timestamp>) -> Option<i64> {
        at.map(|at| signed(at.0.saturating_sub(self.planned_at.0)))
    }

    fn numbers(&self) -> [Option<i64>; 6] {
        let Some(usage) = self.usage else { return [None; 6] };
        let time = |time: Duration| Some(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
        let size = |size: Bytes| Some(signed(size.0));
        [
            time(usage.wall),
            time(usage.cpu_user),
            time(usage.cpu_system),
            size(usage.peak_rss),
            size(usage.read_bytes),
            size(usage.write_bytes),
        ]
    }
}

fn usage(row: &Row<'_>) -> Result<Option<Usage>> {
    let Some(wall) = row.get::<_, Option<i64>>(14)? else { return Ok(None) };
    let time = |index| -> Result<Duration> { Ok(micros(row.get::<_, Option<i64>>(index)?.unwrap_or(0))) };
    let size =
        |index| -> Result<Bytes> { Ok(Bytes(unsigned(row.get::<_, Option<i64>>(index)?.unwrap_or(0)))) };
    Ok(Some(Usage {
        wall: micros(wall),
        cpu_user: time(15)?,
        cpu_system: time(16)?,
        peak_rss: size(17)?,
        read_bytes: size(18)?,
        write_bytes: size(19)?,
    }))
}

fn micros(number: i64) -> Duration {
    Duration::from_micros(unsigned(number))
}

fn moment(number: i64) -> Timestamp {
    Timestamp(unsigned(number))
}

pub(crate) fn instant(at: Timestamp) -> i64 {
    signed(at.0)
}

/// A checksum as a signed number of 32 bits: at most four bytes in the file.
fn stored(crc: u32) -> i32 {
    crc.cast_signed()
}

/// Exit codes are not negative, signals are stored negative.
fn code(exit: ExitStatus) -> i32 {
    match exit {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => -signal,
    }
}

fn exit(code: i32) -> ExitStatus {
    if code < 0 { ExitStatus::Signal(-code) } else { ExitStatus::Code(code) }
}

pub(crate) fn state(number: i64) -> Option<TaskState> {
    let all = [
        TaskState::Pending,
        TaskState::Calibrating,
        TaskState::Running,
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Terminated,
    ];
    all.into_iter().find(|state| *state as i64 == number)
}

fn outcome(number: i64) -> Option<Outcome> {
    let all = [Outcome::Open, Outcome::Completed, Outcome::Failed, Outcome::Terminated];
    all.into_iter().find(|outcome| *outcome as i64 == number)
}
