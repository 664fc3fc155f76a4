//! Performs commands through the rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::config::model::KillMode;
use orchestrator_core::metrics::Usage;
use orchestrator_core::placement::CpuSet;
use orchestrator_core::plan::template::Placeholders;
use orchestrator_core::plan::{CommandPlan, log_path};
use orchestrator_core::scheduler::{
    Event, FailureReason, Fingerprint, InputPath, OutputRecord, ProcessIdentity, StopHow,
};
use orchestrator_core::{AttemptId, Bytes, RunId, SlotId, TaskId, Timestamp};
use orchestrator_ports::{
    ChildSettings, Executor, Files, InputSource, Launch, OutputSink, PrivateOutput, ProbeTarget,
    ProcessFacts, PublishJob, SignalScope, StopSignal, TreeReading,
};

use crate::orders::Orders;

/// What launches need beyond the command itself; the same for a whole run.
#[derive(Clone, Debug)]
pub struct LaunchSettings {
    /// The command.
    pub plan: CommandPlan,
    /// Absolute input directory.
    pub input_directory: PathBuf,
    /// Absolute state directory: captured output goes to `logs/` in it.
    pub state_directory: PathBuf,
    /// Marks every process of this state directory, so that orphans can be found.
    pub state_id: String,
    /// This run.
    pub run: RunId,
    /// Whether attempts get a private output directory.
    pub private_output: bool,
    /// Whether stdout and stderr are captured.
    pub capture: bool,
    /// Bytes kept of each captured stream.
    pub capture_bytes: u64,
    /// Environment and directory of all children.
    pub child: Arc<ChildSettings>,
    /// The stop signal.
    pub stop_signal: StopSignal,
    /// Who gets it.
    pub kill_mode: KillMode,
}

const SIGKILL: StopSignal = StopSignal(9);
const SIGCONT: StopSignal = StopSignal(18);
const SIGSTOP: StopSignal = StopSignal(19);

/// A launched attempt.
struct InFlight {
    task: TaskId,
    path: InputPath,
    /// The same for plugins: absolute, made once they ask.
    shown: Option<Arc<Path>>,
    fingerprint: Fingerprint,
    /// Its process and when that started, once it runs.
    process: Option<(ProcessIdentity, Timestamp)>,
}

/// What a launch command says.
pub(crate) struct LaunchOrder {
    pub(crate) attempt: AttemptId,
    pub(crate) task: TaskId,
    pub(crate) number: u32,
    pub(crate) slot: SlotId,
    pub(crate) path: InputPath,
    pub(crate) cpus: Option<CpuSet>,
}

/// The hands of a run.
pub(crate) struct Hands {
    executor: Box<dyn Executor>,
    pub(crate) files: Box<dyn Files>,
    settings: LaunchSettings,
    in_flight: BTreeMap<AttemptId, InFlight>,
    /// Those that stand still for now.
    frozen: BTreeSet<AttemptId>,
    /// Signals that were asked for and not sent yet.
    orders: Orders,
    launches: u64,
}

impl Hands {
    pub(crate) fn new(executor: Box<dyn Executor>, files: Box<dyn Files>, settings: LaunchSettings) -> Self {
        let (in_flight, frozen) = (BTreeMap::new(), BTreeSet::new());
        Self { executor, files, settings, in_flight, frozen, orders: Orders::default(), launches: 0 }
    }

    /// Inspects the input, prepares the private output and starts the process. `Err` is why a launch did not get as far
    /// as the executor.
    pub(crate) fn launch(&mut self, order: &LaunchOrder) -> Result<(), FailureReason> {
        let fingerprint = self.files.inspect(&order.path)?;
        let private = self.private_output(order)?;
        let launch = self.describe(order, fingerprint, &private);
        let (task, path) = (order.task, order.path.clone());
        self.in_flight
            .insert(order.attempt, InFlight { task, path, shown: None, fingerprint, process: None });
        self.executor.launch(launch);
        Ok(())
    }

    fn private_output(&self, order: &LaunchOrder) -> Result<PrivateOutput, FailureReason> {
        if self.settings.private_output {
            return self.files.prepare(order.attempt, &order.path);
        }
        Ok(PrivateOutput { file: PathBuf::new(), temp: PathBuf::new(), directory: PathBuf::new() })
    }

    fn describe(&mut self, order: &LaunchOrder, print: Fingerprint, private: &PrivateOutput) -> Launch {
        self.launches += 1;
        let settings = &self.settings;
        let input_file = settings.input_directory.join(OsStr::from_bytes(order.path.as_bytes()));
        let call = settings.plan.invocation(&Placeholders {
            input_file: &input_file,
            output_file: &private.file,
            input_size: Bytes(print.size),
            output_dir: &private.directory,
            temp_dir: &private.temp,
            task_id: order.task,
            attempt: order.number,
            slot: order.slot,
            seq: self.launches,
            run_id: settings.run,
        });
        let mut env = call.env;
        env.set("ORCHESTRATOR_STATE_ID", &settings.state_id);
        env.set("ORCHESTRATOR_ATTEMPT_ID", order.attempt.to_string());
        Launch {
            attempt: order.attempt,
            program: call.program,
            args: call.args,
            env,
            stdin: call.stdin.map_or(InputSource::Null, InputSource::File),
            stdout: self.sink(call.stdout, order.attempt, "stdout"),
            stderr: self.sink(call.stderr, order.attempt, "stderr"),
            settings: self.child_settings(call.working_directory),
            cpus: order.cpus.clone(),
        }
    }

    fn child_settings(&self, working_directory: Option<PathBuf>) -> Arc<ChildSettings> {
        match working_directory {
            None => Arc::clone(&self.settings.child),
            some => Arc::new(ChildSettings { working_directory: some, ..(*self.settings.child).clone() }),
        }
    }

    fn sink(&self, file: Option<PathBuf>, attempt: AttemptId, stream: &str) -> OutputSink {
        match file {
            Some(path) => OutputSink::File(path),
            None if self.settings.capture => OutputSink::Capture {
                path: log_path(&self.settings.state_directory, attempt, stream),
                max_bytes: self.settings.capture_bytes,
            },
            None => OutputSink::Null,
        }
    }

    /// Lends the executor this thread.
    pub(crate) fn wait(&mut self, due: Instant, nothing_waits: &mut dyn FnMut() -> bool) {
        self.executor.wait(Some(due), nothing_waits);
    }

    /// The executor says that the process runs: the scheduler's event. `None` for an attempt that is not in flight.
    pub(crate) fn started(
        &mut self,
        attempt: AttemptId,
        identity: ProcessIdentity,
        now: Timestamp,
    ) -> Option<Event> {
        let in_flight = self.in_flight.get_mut(&attempt)?;
        in_flight.process = Some((identity, now));
        Some(Event::AttemptStarted { attempt, identity, fingerprint: in_flight.fingerprint })
    }

    /// The readings of attempts that are in flight still; they come in the order of the attempts.
    pub(crate) fn in_flight(&self, readings: Arc<Vec<TreeReading>>) -> Arc<Vec<TreeReading>> {
        if readings.iter().all(self.who_lives()) {
            return readings;
        }
        let mut lives = self.who_lives();
        Arc::new(readings.iter().filter(|reading| lives(reading)).cloned().collect())
    }

    /// Says of one reading after the other, in the order of the attempts, whether its attempt is in flight.
    fn who_lives(&self) -> impl FnMut(&TreeReading) -> bool {
        let mut attempts = self.in_flight.keys().peekable();
        move |(sample, _)| {
            while attempts.next_if(|attempt| **attempt < sample.attempt).is_some() {}
            attempts.peek() == Some(&&sample.attempt)
        }
    }

    /// What people call the attempt: its input.
    pub(crate) fn name(&self, attempt: AttemptId) -> String {
        self.in_flight.get(&attempt).map_or_else(|| format!("attempt {attempt}"), |one| one.path.to_string())
    }

    /// The process is gone or never came.
    pub(crate) fn ended(&mut self, attempt: AttemptId) {
        self.in_flight.remove(&attempt);
        self.frozen.remove(&attempt);
    }

    /// Attempts in flight.
    pub(crate) fn attempts(&self) -> impl ExactSizeIterator<Item = AttemptId> {
        self.in_flight.keys().copied()
    }

    /// Processes to be sampled.
    pub(crate) fn targets(&self) -> Vec<ProbeTarget> {
        let target = |(attempt, one): (&AttemptId, &InFlight)| {
            one.process.map(|(identity, _)| ProbeTarget { attempt: *attempt, identity })
        };
        self.in_flight.iter().filter_map(target).collect()
    }

    /// Sampled attempts as plugins are shown them, without those that have ended meanwhile; they come in the order of the
    /// attempts.
    pub(crate) fn facts(&mut self, readings: &[TreeReading], now: Timestamp) -> Vec<ProcessFacts> {
        let directory = &self.settings.input_directory;
        let mut in_flight = self.in_flight.iter_mut().peekable();
        let facts = |(sample, tree): &TreeReading| {
            while in_flight.next_if(|(attempt, _)| **attempt < sample.attempt).is_some() {}
            let (_, one) = in_flight.next_if(|(attempt, _)| **attempt == sample.attempt)?;
            let (identity, started) = one.process?;
            let input = || directory.join(OsStr::from_bytes(one.path.as_bytes())).into();
            Some(ProcessFacts {
                attempt: sample.attempt,
                task: one.task,
                input_file: Arc::clone(one.shown.get_or_insert_with(input)),
                running_for: Some(now.since(started)),
                pid: identity.pid,
                start_ticks: identity.start_ticks,
                tree: Arc::clone(tree),
                sample: Some(*sample),
            })
        };
        let mut all = Vec::with_capacity(readings.len());
        all.extend(readings.iter().filter_map(facts));
        all
    }

    /// The attempt is to be stopped, with the [`give_orders`](Self::give_orders) that follows.
    pub(crate) fn stop(&mut self, attempt: AttemptId, how: StopHow) {
        let (signal, scope) = match (how, self.settings.kill_mode) {
            (StopHow::Kill, _) => (SIGKILL, SignalScope::Tree),
            (StopHow::Gracefully, KillMode::Tree) => (self.settings.stop_signal, SignalScope::Tree),
            (StopHow::Gracefully, KillMode::MainThenTree) => (self.settings.stop_signal, SignalScope::Main),
        };
        self.orders.add(attempt, signal, scope);
    }

    /// The attempt's tree is to stand still, with the next [`give_orders`](Self::give_orders).
    pub(crate) fn freeze(&mut self, attempt: AttemptId) {
        if self.in_flight.contains_key(&attempt) {
            self.frozen.insert(attempt);
            self.orders.add(attempt, SIGSTOP, SignalScope::Tree);
        }
    }

    /// It is to go on, with the next [`give_orders`](Self::give_orders).
    pub(crate) fn thaw(&mut self, attempt: AttemptId) {
        if self.frozen.remove(&attempt) {
            self.orders.add(attempt, SIGCONT, SignalScope::Tree);
        }
    }

    /// After all were told to go on: those that stand still for a reason of ours do so again.
    pub(crate) fn freeze_again(&mut self) {
        let frozen: Vec<AttemptId> = self.frozen.iter().copied().collect();
        self.executor.signal(&frozen, SIGSTOP, SignalScope::Tree);
    }

    /// Sends the signals that were asked for, as many at once as can be.
    pub(crate) fn give_orders(&mut self) {
        for order in self.orders.take() {
            self.executor.signal(&order.attempts, order.signal, order.scope);
        }
    }

    pub(crate) fn signal_all(&mut self, signal: StopSignal) {
        self.executor.signal_all(signal);
    }

    pub(crate) fn kill_all(&mut self) {
        self.executor.signal_all(SIGKILL);
    }

    pub(crate) fn publish(&self, attempt: AttemptId, outputs: Vec<OutputRecord>) {
        self.files.publish(PublishJob { attempt, outputs });
    }

    pub(crate) fn discard(&self, attempt: AttemptId) {
        if self.settings.private_output {
            self.files.discard(attempt);
        }
    }

    /// Removes the captured output of an attempt that succeeded (`logging.keep: failed`).
    pub(crate) fn forget_logs(&self, attempt: AttemptId) {
        if self.settings.capture {
            for stream in ["stdout", "stderr"] {
                remove_if_there(&log_path(&self.settings.state_directory, attempt, stream));
            }
        }
    }
}

fn remove_if_there(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), %error, "captured output not removed");
    }
}

/// CPU that our attempts use together, ended ones included: short tasks live and die between two samples.
#[derive(Debug, Default)]
pub(crate) struct OwnCpu {
    seen: BTreeMap<AttemptId, Duration>,
    ended: Duration,
}

impl OwnCpu {
    pub(crate) fn exited(&mut self, attempt: AttemptId, usage: &Usage) {
        let seen = self.seen.remove(&attempt).unwrap_or_default();
        self.ended += usage.cpu().saturating_sub(seen);
    }

    /// Cores kept busy since the previous call, `elapsed` ago; `news` are the readings that are not as they were then.
    pub(crate) fn cores(&mut self, news: &[TreeReading], elapsed: Duration) -> f64 {
        let mut used = std::mem::take(&mut self.ended);
        for (sample, _) in news {
            let seen = self.seen.entry(sample.attempt).or_default();
            used += sample.cpu_time.saturating_sub(*seen);
            *seen = (*seen).max(sample.cpu_time);
        }
        if elapsed.is_zero() { 0.0 } else { used.as_secs_f64() / elapsed.as_secs_f64() }
    }
}
