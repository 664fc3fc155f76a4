//! Facts as bytes: the common ones compact, the others as JSON.

use std::time::Duration;

use orchestrator_core::metrics::Usage;
use orchestrator_core::scheduler::{ExitStatus, Fact, Fingerprint, InputPath, OutputRecord, ProcessIdentity};
use orchestrator_core::{AttemptId, Bytes, SlotId, TaskId, Timestamp};

use crate::outputs::{put, take};
use crate::sql::{signed, unsigned};

const OTHER: u8 = 0;
const NAMED: u8 = 1;
const PLANNED: u8 = 2;
const STARTED: u8 = 3;
const CODE: u8 = 4;
const SIGNAL: u8 = 5;
const ACCEPTED: u8 = 6;
const COMPLETED: u8 = 7;

/// Appends a fact.
pub(super) fn encode(fact: &Fact, to: &mut Vec<u8>) {
    match fact {
        Fact::TaskNamed { task, path } => {
            begin(to, NAMED, &[task.0.into()]);
            bytes(to, path.as_bytes());
        }
        Fact::AttemptPlanned { attempt, task, number, slot, calibrating, at } => {
            let numbers =
                [task.0.into(), attempt.0, (*number).into(), slot.0.into(), (*calibrating).into(), at.0];
            begin(to, PLANNED, &numbers);
        }
        Fact::AttemptStarted { attempt, task, identity, fingerprint, at } => {
            let (process, print) = (identity, fingerprint);
            let numbers =
                [process.pid.into(), process.start_ticks, print.size, unsigned(print.version), at.0];
            begin(to, STARTED, &[task.0.into(), attempt.0]);
            numbers.iter().for_each(|number| put(to, *number));
        }
        Fact::AttemptExited { attempt, task, status, usage, at } => {
            let (tag, number) = match status {
                ExitStatus::Code(code) => (CODE, code),
                ExitStatus::Signal(signal) => (SIGNAL, signal),
            };
            begin(to, tag, &[task.0.into(), attempt.0, number.cast_unsigned().into(), at.0]);
            for time in [usage.wall, usage.cpu_user, usage.cpu_system] {
                put(to, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
            [usage.peak_rss, usage.read_bytes, usage.write_bytes].iter().for_each(|size| put(to, size.0));
        }
        Fact::OutputAccepted { attempt, task, outputs } => {
            begin(to, ACCEPTED, &[task.0.into(), attempt.0, outputs.len() as u64]);
            for output in outputs {
                bytes(to, output.path.as_bytes());
                put(to, output.size);
            }
        }
        Fact::TaskCompleted { task, attempt, at } => {
            begin(to, COMPLETED, &[task.0.into(), attempt.0, at.0]);
        }
        other => {
            to.push(OTHER);
            // Plain data of our own: it always has a JSON form.
            bytes(to, &serde_json::to_vec(other).unwrap_or_default());
        }
    }
}

/// Takes a fact off the front; `None` when it is none of ours.
pub(super) fn decode(from: &mut &[u8]) -> Option<Fact> {
    let (tag, rest) = from.split_first()?;
    *from = rest;
    if *tag == OTHER {
        return serde_json::from_slice(take_bytes(from)?).ok();
    }
    let task = TaskId(small(from)?);
    if *tag == NAMED {
        return Some(Fact::TaskNamed { task, path: InputPath::new(take_bytes(from)?) });
    }
    let attempt = AttemptId(take(from)?);
    Some(match *tag {
        PLANNED => Fact::AttemptPlanned {
            attempt,
            task,
            number: small(from)?,
            slot: SlotId(small(from)?),
            calibrating: take(from)? != 0,
            at: Timestamp(take(from)?),
        },
        STARTED => Fact::AttemptStarted {
            attempt,
            task,
            identity: ProcessIdentity { pid: small(from)?, start_ticks: take(from)? },
            fingerprint: Fingerprint { size: take(from)?, version: signed(take(from)?) },
            at: Timestamp(take(from)?),
        },
        CODE | SIGNAL => {
            let number = small(from)?.cast_signed();
            let status = if *tag == CODE { ExitStatus::Code(number) } else { ExitStatus::Signal(number) };
            let at = Timestamp(take(from)?);
            Fact::AttemptExited { attempt, task, status, usage: usage(from)?, at }
        }
        ACCEPTED => {
            let count = take(from)?;
            let outputs = (0..count).map(|_| output(from)).collect::<Option<Vec<_>>>()?;
            Fact::OutputAccepted { attempt, task, outputs }
        }
        COMPLETED => Fact::TaskCompleted { task, attempt, at: Timestamp(take(from)?) },
        _ => return None,
    })
}

fn begin(to: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    to.push(tag);
    numbers.iter().for_each(|number| put(to, *number));
}

fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(from)?).ok()?;
    let (head, tail) = from.split_at_checked(length)?;
    *from = tail;
    Some(head)
}

fn small(from: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(from)?).ok()
}

fn output(from: &mut &[u8]) -> Option<OutputRecord> {
    Some(OutputRecord { path: InputPath::new(take_bytes(from)?), size: take(from)? })
}

fn usage(from: &mut &[u8]) -> Option<Usage> {
    let mut time = || take(from).map(Duration::from_nanos);
    let (wall, cpu_user, cpu_system) = (time()?, time()?, time()?);
    let mut size = || take(from).map(Bytes);
    Some(Usage { wall, cpu_user, cpu_system, peak_rss: size()?, read_bytes: size()?, write_bytes: size()? })
}

#[cfg(test)]
mod tests {
    use orchestrator_core::scheduler::FailureReason;

    use super::*;

    fn facts() -> Vec<Fact> {
        let (task, attempt, at) = (TaskId(u32::MAX), AttemptId(u64::MAX), Timestamp(1_760_000_000_000_001));
        let path = InputPath::new(b"a/\xff\n.dat");
        let usage = Usage {
            wall: Duration::from_nanos(1_234_567_891),
            cpu_user: Duration::from_micros(5),
            cpu_system: Duration::ZERO,
            peak_rss: Bytes(1 << 40),
            read_bytes: Bytes(0),
            write_bytes: Bytes(u64::MAX),
        };
        let exited = |status| Fact::AttemptExited { attempt, task, status, usage, at };
        vec![
            Fact::TaskNamed { task, path: path.clone() },
            Fact::AttemptPlanned { attempt, task, number: 7, slot: SlotId(3), calibrating: true, at },
            Fact::AttemptStarted {
                attempt,
                task,
                identity: ProcessIdentity { pid: 4_194_304, start_ticks: 99_999_999_999 },
                fingerprint: Fingerprint { size: 5, version: -1 },
                at,
            },
            exited(ExitStatus::Code(255)),
            exited(ExitStatus::Signal(9)),
            Fact::OutputAccepted { attempt, task, outputs: vec![OutputRecord { path, size: 12 }; 2] },
            Fact::TaskCompleted { task, attempt, at },
            Fact::AttemptFailed { attempt, task, reason: FailureReason::DiskFull, retry_at: at },
            Fact::TaskReset { task, at },
        ]
    }

    #[test]
    fn every_fact_comes_back() {
        let mut bytes = Vec::new();
        facts().iter().for_each(|fact| encode(fact, &mut bytes));
        let mut rest = bytes.as_slice();
        for fact in facts() {
            assert_eq!(decode(&mut rest), Some(fact));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_cut_fact_is_none() {
        for fact in facts() {
            let mut bytes = Vec::new();
            encode(&fact, &mut bytes);
            for length in 0..bytes.len() {
                assert_eq!(decode(&mut &bytes[..length]), None, "{fact:?} cut after {length}");
            }
        }
    }
}
