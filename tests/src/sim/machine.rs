//! The fake executor: processes with lives of their own.

use std::time::Duration;

use orchestrator_core::metrics::{ProcessSample, SystemSample, Usage};
use orchestrator_core::scheduler::{
    Event, ExitStatus, FailureReason, Fingerprint, InputPath, OutputFault, ProcessIdentity, SpawnFault,
    StopHow,
};
use orchestrator_core::{AttemptId, Bytes, TaskId};

use super::agenda::What;
use super::files::{Output, Private};
use super::ledger::{Check, ensure};
use super::world::World;

/// How a process ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    status: ExitStatus,
    oom: bool,
    leaked: bool,
}

/// A process, from the order to launch it to its reaping.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) task: TaskId,
    print: Fingerprint,
    /// When it begins, or began.
    starts: u64,
    started: bool,
    ends: u64,
    end: End,
    /// Moves of its end so far.
    moved: u64,
    output: Output,
    /// Does nothing at all from the start.
    idle: bool,
    /// Ignores the polite signal.
    stubborn: bool,
    /// The last word about it arrives then.
    last_word: u64,
    /// Since when it stands still, and how long it did before.
    pub(super) frozen: Option<u64>,
    still: u64,
}

impl Process {
    /// Microseconds that it has run.
    fn ran(&self, now: u64) -> u64 {
        self.frozen.unwrap_or(now).saturating_sub(self.starts + self.still)
    }
}

impl World {
    /// Performs a launch.
    pub(super) fn launch(&mut self, attempt: AttemptId, task: TaskId, path: &InputPath) -> Check {
        ensure!(self.launched.insert(attempt), "attempt id {attempt} was launched before");
        let twin = self.processes.values().any(|process| process.task == task);
        ensure!(!twin, "two processes of task {task} at once");
        if let Some(reason) = self.refusal(path) {
            self.say(Event::LaunchFailed { attempt, reason });
            return Ok(());
        }
        let settings = &self.settings;
        let starts = self.now + self.chance.below(settings.launch_latency);
        let mut life = 1 + self.chance.below(settings.life);
        let mut idle = self.chance.hits(50);
        if self.chance.hits(settings.hangs) {
            life += 60_000_000;
            idle = self.chance.coin();
            self.tally.count("process hung");
        }
        let process = Process {
            task,
            print: self.inputs.get(path).map_or_else(Fingerprint::default, |input| input.print),
            starts,
            started: false,
            ends: starts + life,
            end: self.draw_end(),
            moved: 0,
            idle,
            output: self.draw_output(attempt, path),
            stubborn: self.chance.hits(self.settings.stubborn),
            last_word: 0,
            frozen: None,
            still: 0,
        };
        self.agenda.put(process.starts, What::Starts(attempt));
        self.agenda.put(process.ends, What::Ends(attempt, 0));
        self.processes.insert(attempt, process);
        Ok(())
    }

    fn refusal(&mut self, path: &InputPath) -> Option<FailureReason> {
        let detail = || "simulated".to_owned();
        let (present, readable) =
            self.inputs.get(path).map_or((false, false), |input| (input.present, input.readable));
        let (refusals, spawn_input) = (self.settings.refusals, self.settings.spawn_input);
        let (what, reason) = if !present {
            ("launch failed: input vanished", FailureReason::InputVanished)
        } else if !readable {
            ("launch failed: input unreadable", FailureReason::InputUnreadable { detail: detail() })
        } else if self.disk_full {
            ("launch failed: disk full", FailureReason::DiskFull)
        } else if self.binary_broken {
            ("launch failed: config", FailureReason::Spawn(SpawnFault::Config { detail: detail() }))
        } else if self.chance.hits(refusals) {
            ("launch failed: machine", FailureReason::Spawn(SpawnFault::Machine { detail: detail() }))
        } else if self.chance.hits(spawn_input) {
            ("launch failed: command line", FailureReason::Spawn(SpawnFault::Input { detail: detail() }))
        } else {
            return None;
        };
        self.tally.count(what);
        Some(reason)
    }

    fn draw_end(&mut self) -> End {
        let settings = &self.settings;
        let leaked = self.chance.hits(settings.leaks);
        let (status, oom) = if self.chance.hits(settings.exit_codes) {
            (ExitStatus::Code(self.chance.pick(&[1, 2, 3])), false)
        } else if self.chance.hits(settings.signals) {
            (ExitStatus::Signal(self.chance.pick(&[6, 11])), false)
        } else {
            (ExitStatus::Code(0), false)
        };
        if self.chance.hits(settings.oom) {
            return End { status: ExitStatus::Signal(9), oom: true, leaked };
        }
        End { status, oom, leaked }
    }

    fn draw_output(&mut self, attempt: AttemptId, path: &InputPath) -> Output {
        if self.chance.hits(self.settings.bad_output) {
            return Output::Bad(self.chance.pick(&[
                OutputFault::Missing,
                OutputFault::Empty,
                OutputFault::NotAFile,
            ]));
        }
        if self.chance.hits(self.settings.no_output) {
            return Output::Files(vec![]);
        }
        // Sizes repeat, so that two versions of an output can be told apart by their author alone.
        let size = 7 + attempt.0 % 2;
        let mut files = vec![(InputPath::new(format!("{path}.out").as_bytes()), size)];
        if self.chance.hits(200) {
            files.push((InputPath::new(format!("{path}.log").as_bytes()), 3));
        }
        Output::Files(files)
    }

    /// A process begins.
    pub(super) fn starts(&mut self, attempt: AttemptId) {
        let Some(process) = self.processes.get_mut(&attempt) else { return };
        process.started = true;
        let identity = ProcessIdentity { pid: attempt.0 as u32 + 100, start_ticks: self.now };
        let fingerprint = process.print;
        self.say_of(attempt, Event::AttemptStarted { attempt, identity, fingerprint });
    }

    /// A process ends, is reaped and leaves its output behind.
    pub(super) fn ends(&mut self, attempt: AttemptId, moved: u64) {
        if self.processes.get(&attempt).is_none_or(|process| process.moved != moved) {
            return;
        }
        let Some(process) = self.processes.get(&attempt).cloned() else { return };
        let wall = Duration::from_micros(self.now.saturating_sub(process.starts));
        let End { status, oom, leaked } = process.end;
        self.tally.count(match status {
            _ if oom => "process ended: oom",
            ExitStatus::Code(0) => "process ended: well",
            ExitStatus::Code(_) => "process ended: exit code",
            ExitStatus::Signal(_) => "process ended: signal",
        });
        if leaked {
            self.tally.count("process leaked its pipes");
        }
        let usage = Usage { wall, cpu_user: wall / 2, peak_rss: Bytes(1 << 20), ..Usage::default() };
        self.say_of(attempt, Event::AttemptExited { attempt, status, usage, oom, leaked });
        self.processes.remove(&attempt);
        self.private.insert(attempt, Private { output: process.output });
    }

    /// Says something of a process; its words keep their order unless this universe mixes them up.
    fn say_of(&mut self, attempt: AttemptId, event: Event) {
        let mut at = self.now + self.latency();
        let reorder = self.settings.reorder;
        if let Some(process) = self.processes.get_mut(&attempt) {
            if !reorder {
                at = at.max(process.last_word);
            } else if at < process.last_word {
                self.tally.count("exit heard before start");
            }
            process.last_word = process.last_word.max(at);
        }
        self.agenda.put(at, What::Hear(Box::new(event)));
    }

    /// Makes a process stand still: its end does not come before it goes on.
    pub(super) fn freeze(&mut self, attempt: AttemptId) -> Check {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&attempt) else { return Ok(()) };
        ensure!(process.frozen.is_none(), "attempt {attempt} is made to stand still twice");
        process.frozen = Some(now);
        process.moved += 1;
        self.tally.count("process stands still");
        Ok(())
    }

    /// Lets it go on.
    pub(super) fn thaw(&mut self, attempt: AttemptId) -> Check {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&attempt) else { return Ok(()) };
        let Some(from) = process.frozen.take() else {
            return Err(format!("attempt {attempt} goes on although it does not stand still"));
        };
        process.still += now.saturating_sub(from);
        process.ends += now.saturating_sub(from);
        process.moved += 1;
        let (ends, moved) = (process.ends.max(now), process.moved);
        self.agenda.put(ends, What::Ends(attempt, moved));
        self.tally.count("process goes on");
        Ok(())
    }

    /// Performs a stop. A process that has not begun yet gets the signal as soon as it has.
    ///
    /// # Errors
    /// It stands still and would not hear the signal.
    pub(super) fn signal(&mut self, attempt: AttemptId, how: StopHow) -> Check {
        let Some(process) = self.processes.get_mut(&attempt) else { return Ok(()) };
        ensure!(process.frozen.is_none(), "attempt {attempt} is signalled while it stands still");
        let begun = process.starts.max(self.now);
        let (ends, status) = match how {
            StopHow::Kill => (begun + self.chance.below(30_000), ExitStatus::Signal(9)),
            StopHow::Gracefully if process.stubborn => {
                self.tally.count("polite signal ignored");
                return Ok(());
            }
            StopHow::Gracefully => {
                let status =
                    self.chance.pick(&[ExitStatus::Signal(15), ExitStatus::Code(0), ExitStatus::Code(143)]);
                (begun + self.chance.below(1_500_000), status)
            }
        };
        if ends < process.ends {
            process.end.status = status;
            process.end.oom = false;
            process.ends = ends;
            process.moved += 1;
            self.agenda.put(ends, What::Ends(attempt, process.moved));
        }
        Ok(())
    }

    /// What a sample of the machine says now; processes are looked at once it is known that they run.
    pub(super) fn sample(&mut self, is_known: impl Fn(AttemptId) -> bool) -> Event {
        let now = self.now;
        let growth = self.settings.growth;
        let rss = |process: &Process| (1 << 20) + (process.ran(now) as f64 / 1e6 * growth as f64) as u64;
        let of = |(attempt, process): (&AttemptId, &Process)| ProcessSample {
            attempt: *attempt,
            cpu_time: Duration::from_micros(if process.idle { 0 } else { process.ran(now) / 2 }),
            rss: Bytes(rss(process)),
            virtual_memory: Bytes(1 << 22),
            read_bytes: Bytes(0),
            write_bytes: Bytes(0),
            read_ops: 0,
            write_ops: 0,
            processes: 1,
            threads: 1,
            states: [1, 0, 0, 0, 0],
        };
        let running = |(id, process): &(&AttemptId, &Process)| process.started && is_known(**id);
        let processes = self.processes.iter().filter(running).map(of).collect();
        let own: u64 = self.processes.values().map(rss).sum();
        let own_cpu_cores =
            0.5 * self.processes.values().filter(|process| process.frozen.is_none()).count() as f64;
        let others = if self.hostile { self.chance.pick(&[0, 8, 16, 40, 56]) } else { 8 };
        let memory_total = Bytes(64 << 20);
        let memory_used = Bytes((own + (others << 20)).min(memory_total.0));
        let cpu_cores = self.settings.cores as f64;
        let system = SystemSample {
            cpu_percent: (100.0 * (own_cpu_cores + 0.1) / cpu_cores).min(100.0),
            cpu_cores,
            memory_total,
            memory_used,
            memory_available: Bytes(memory_total.0 - memory_used.0),
            ..SystemSample::default()
        };
        Event::Sampled { system, processes, own_cpu_cores }
    }

    /// The host died: its processes are found and ended before the next run begins.
    pub(super) fn end_orphans(&mut self) {
        self.tally.add("orphan ended at start", self.processes.len() as u64);
        let still = self.processes.values().filter(|process| process.frozen.is_some()).count();
        self.tally.add("orphan that stood still", still as u64);
        self.processes.clear();
    }
}
