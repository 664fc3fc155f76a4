//! One turn of the loop: messages become events, events become steps, recorded steps are published and performed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::config::model::KeepOutput;
use orchestrator_core::metrics::{Metrics, names};
use orchestrator_core::placement::Topology;
use orchestrator_core::scheduler::{Command, Event, Fact, FailureReason, Scheduler, StopLevel};
use orchestrator_core::{AttemptId, Timestamp};
use orchestrator_ports::{
    Clock, Executor, ExecutorEvent, Files, FilesEvent, Notice, PluginEvent, PluginHealth, PluginRound,
    Plugins, SampleRow, StopSignal, Store, StoreEvent, Subscriber,
};

use crate::collector::{Collected, Collector};
use crate::hands::{Hands, LaunchOrder, OwnCpu};
use crate::inbox::{Control, Message};
use crate::journal::{Done, Journal};
use crate::readings::Readings;
use crate::run::{Ended, RunEnd, Settings};
use crate::samples::{MeasuredRows, Thinning, Thresholds, current};
use crate::ticks::Ticks;
use crate::words;

/// Between two snapshots for the subscribers.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
const SIGTSTP: StopSignal = StopSignal(20);
const SIGCONT: StopSignal = StopSignal(18);

/// The state of the loop.
pub(crate) struct Turner {
    scheduler: Scheduler,
    hands: Hands,
    journal: Journal,
    collector: Collector,
    plugins: Box<dyn Plugins>,
    clock: Box<dyn Clock>,
    subscribers: Vec<Box<dyn Subscriber>>,
    readings: Readings,
    thresholds: Thresholds,
    keep_output: KeepOutput,
    suspend_self: Box<dyn Fn() + Send>,
    own_cpu: OwnCpu,
    thinning: Thinning,
    measured: MeasuredRows,
    /// Events that arose while commands were performed.
    local: VecDeque<Event>,
    wake_at: Option<Timestamp>,
    collected_at: Option<Timestamp>,
    next_snapshot: Instant,
    round: u64,
    /// Whether the last round brought answers of capacity plugins.
    capacity_answered: bool,
    ticks: Ticks,
    /// The processors as they were read at the start, until the run begins.
    topology: Topology,
    /// Publications asked for and not answered, and whether any came since the last flush.
    publishing: usize,
    unflushed: bool,
    abort: Option<Ended>,
    ended: Option<Ended>,
}

impl Turner {
    #[expect(clippy::too_many_arguments, reason = "the rooms of a run, each one once")]
    pub(crate) fn new(
        executor: Box<dyn Executor>,
        files: Box<dyn Files>,
        store: Box<dyn Store>,
        plugins: Box<dyn Plugins>,
        clock: Box<dyn Clock>,
        subscribers: Vec<Box<dyn Subscriber>>,
        collector: Collector,
        scheduler: Scheduler,
        settings: Settings,
    ) -> Self {
        let journal = Journal::new(store, settings.durability, settings.launch.private_output);
        Self {
            scheduler,
            hands: Hands::new(executor, files, settings.launch),
            journal,
            collector,
            plugins,
            clock,
            subscribers,
            readings: Readings::new(settings.interval, Instant::now()),
            thresholds: settings.thresholds,
            keep_output: settings.keep_output,
            suspend_self: settings.suspend_self,
            own_cpu: OwnCpu::default(),
            thinning: Thinning::default(),
            measured: MeasuredRows::default(),
            local: VecDeque::new(),
            wake_at: None,
            collected_at: None,
            next_snapshot: Instant::now() + SNAPSHOT_EVERY,
            round: 0,
            capacity_answered: false,
            ticks: Ticks::default(),
            topology: settings.topology,
            publishing: 0,
            unflushed: false,
            abort: None,
            ended: None,
        }
    }

    /// Starts: settles what earlier runs left open, and scans.
    pub(crate) fn begin(&mut self) {
        self.readings.begin(Instant::now());
        self.step(Event::RunStarted);
        let topology = std::mem::take(&mut self.topology);
        self.step(Event::TopologyRead(topology));
        self.hands.files.scan();
        self.collect();
        self.settle();
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.clone()
    }

    /// Looks after the processes until there is something for a turn of the loop, at the latest when it is `due`.
    pub(crate) fn wait(&mut self, due: Instant, nothing_waits: &mut dyn FnMut() -> bool) {
        self.hands.wait(due, nothing_waits);
    }

    /// When the loop must turn even if nothing arrives.
    pub(crate) fn next_deadline(&self) -> Instant {
        let now = self.clock.now();
        let wake = self.wake_at.map(|at| Instant::now() + at.since(now));
        let next = self.readings.next().min(self.next_snapshot);
        wake.map_or(next, |wake| next.min(wake))
    }

    /// Handles what arrived and what is due, and keeps the time that it took from the moment it was `due` or, where
    /// something arrived before that, from now on.
    pub(crate) fn tick(&mut self, due: Instant, messages: impl Iterator<Item = Message>) {
        let began = Instant::now().min(due);
        self.turn(messages);
        self.ticks.took(began.elapsed());
    }

    fn turn(&mut self, messages: impl Iterator<Item = Message>) {
        for message in messages {
            self.hear(message);
        }
        if self.wake_at.is_some_and(|at| at <= self.clock.now()) {
            self.wake_at = None;
            self.step(Event::Ticked);
        }
        if self.readings.next() <= Instant::now() {
            self.collect();
        }
        self.settle();
        if self.scheduler.is_risking() {
            self.readings.hasten(Instant::now(), self.collector.pace);
        }
        if self.next_snapshot <= Instant::now() {
            self.show_snapshot();
        }
    }

    /// Ends: the last snapshot is shown and returned.
    pub(crate) fn end(mut self, ended: Ended) -> RunEnd {
        self.show_snapshot();
        let snapshot = self.scheduler.snapshot(self.clock.now());
        let ended = self.abort.take().unwrap_or(ended);
        if ended == Ended::Left {
            // Closing the rooms in order waits for what was killed to be gone; the next start sees to that.
            std::mem::forget(self.hands);
        }
        let scan = self.scheduler.scan_report().cloned();
        RunEnd { ended, snapshot, scan, ticks: self.ticks.times(), learned: self.scheduler.learned() }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Executor(event) => self.executor_event(event),
            Message::Files(event) => self.files_event(event),
            Message::Store(StoreEvent::Committed { through }) => self.recorded(through),
            Message::Store(StoreEvent::Failed { detail }) => {
                self.hands.kill_all();
                self.ended = Some(Ended::StoreFailed(detail));
            }
            Message::Plugins(event) => self.plugin_event(event),
            Message::Collected(collected) => self.collected(collected),
            Message::Control(control) => self.control(control),
        }
    }

    fn executor_event(&mut self, event: ExecutorEvent) {
        match event {
            ExecutorEvent::Started { attempt, identity } => {
                if let Some(event) = self.hands.started(attempt, identity, self.clock.now()) {
                    self.step(event);
                }
            }
            ExecutorEvent::NotStarted { attempt, fault } => {
                self.hands.ended(attempt);
                self.step(Event::LaunchFailed { attempt, reason: FailureReason::Spawn(fault) });
            }
            ExecutorEvent::Exited { attempt, status, usage, oom, leaked } => {
                self.own_cpu.exited(attempt, &usage);
                if leaked {
                    self.notice(Notice::Warning(words::leaked(&self.hands.name(attempt))));
                }
                self.hands.ended(attempt);
                self.step(Event::AttemptExited { attempt, status, usage, oom, leaked });
            }
        }
        self.look_at_baseline();
    }

    /// A new calibration measurement changes what capacity plugins would answer: ask them now.
    fn look_at_baseline(&mut self) {
        self.readings.calibrated(Instant::now(), self.scheduler.baseline().samples);
    }

    fn files_event(&mut self, event: FilesEvent) {
        match event {
            FilesEvent::Discovered { found, permit: _permit } => self.step(Event::InputsDiscovered(found)),
            FilesEvent::ScanFinished(report) => {
                for (path, detail) in &report.unreadable {
                    self.notice(Notice::Warning(format!("{path} cannot be read and is left out: {detail}")));
                }
                self.step(Event::ScanFinished(report));
                let missing = self.scheduler.missing();
                if missing > 0 {
                    self.notice(Notice::Warning(words::missing(missing)));
                }
            }
            FilesEvent::ScanFailed { detail } => self.abort(Ended::ScanFailed(detail)),
            FilesEvent::Validated { attempt, verdict } => {
                self.step(Event::OutputValidated { attempt, verdict })
            }
            FilesEvent::Published { attempt } => {
                self.publishing = self.publishing.saturating_sub(1);
                self.step(Event::OutputPublished { attempt });
            }
            FilesEvent::PublishFailed { attempt, reason } => {
                self.publishing = self.publishing.saturating_sub(1);
                self.step(Event::PublishFailed { attempt, reason });
            }
        }
    }

    fn plugin_event(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::RoundFinished { system, processes, capacity, .. } => {
                self.keep(system, processes);
                // The last of several plugins may be taken out: that is an answer, too.
                let any = !capacity.is_empty();
                if std::mem::replace(&mut self.capacity_answered, any) || any {
                    self.step(Event::CapacityAnswered(capacity));
                }
            }
            PluginEvent::Measured { system, processes } => self.keep(system, processes),
            PluginEvent::Reloaded { changes, refusals } => {
                changes.into_iter().for_each(|change| self.notice(Notice::Info(change)));
                refusals.into_iter().for_each(|refusal| self.notice(Notice::Warning(refusal)));
            }
            PluginEvent::Health { instance, health: PluginHealth::Failed { sentence, required } } => {
                tracing::debug!(plugin = instance, "failed");
                self.notice(Notice::Warning(sentence.clone()));
                if required {
                    self.abort(Ended::PluginFailed(sentence));
                }
            }
            PluginEvent::Health { health: PluginHealth::Restarting { sentence }, .. } => {
                self.notice(Notice::Warning(sentence));
            }
            PluginEvent::Health { instance, health: PluginHealth::Ready } => {
                self.notice(Notice::Info(format!("plugin `{instance}` works again")));
            }
            PluginEvent::Said { instance, level, message } => words::said(&instance, level, &message),
        }
    }

    /// Hands what plugins measured to the history.
    fn keep(&mut self, system: Metrics, processes: Vec<(AttemptId, Arc<Metrics>)>) {
        let at = self.clock.now();
        let mut rows = self.measured.rows(at, processes, self.hands.attempts());
        rows.push(SampleRow { at, attempt: None, metrics: system });
        rows.retain(|row| !row.metrics.is_empty());
        self.journal.store().samples(rows);
    }

    /// Ends the run early in an orderly way; the first reason stands.
    fn abort(&mut self, why: Ended) {
        if self.abort.is_none() {
            self.abort = Some(why);
            self.step(Event::StopRequested(StopLevel::Now));
        }
    }

    fn control(&mut self, control: Control) {
        // It may take long (a suspension): what is known by now is recorded first.
        self.record();
        match control {
            Control::Drain => {
                self.notice(Notice::Info(words::DRAINING.into()));
                self.step(Event::StopRequested(StopLevel::Drain));
            }
            Control::StopNow => {
                self.notice(Notice::Info(words::STOPPING.into()));
                self.step(Event::StopRequested(StopLevel::Now));
            }
            Control::Leave => {
                self.hands.kill_all();
                self.ended = Some(Ended::Left);
            }
            Control::Suspend => {
                self.hands.signal_all(SIGTSTP);
                let from = Instant::now();
                (self.suspend_self)();
                self.clock.suspended_for(from.elapsed());
                self.hands.signal_all(SIGCONT);
                self.hands.freeze_again();
            }
            Control::Reload(policy) => {
                self.notice(Notice::Info(words::RELOADED.into()));
                self.step(Event::PolicyChanged(policy));
            }
            Control::Report => {
                let snapshot = self.scheduler.snapshot(self.clock.now());
                self.subscribers.iter_mut().for_each(|subscriber| subscriber.report(&snapshot));
            }
        }
    }

    /// Asks for a reading, and sets the time of the next.
    fn collect(&mut self) {
        let hands = &self.hands;
        self.collector.request(|| hands.targets());
        let capacity = self.scheduler.capacity();
        if let Some(words) = self.readings.asked(Instant::now(), &capacity, &mut self.collector.pace) {
            self.notice(Notice::Info(words));
        }
    }

    /// A reading arrived: the scheduler hears it, the history keeps it, the plugins begin a round.
    fn collected(&mut self, collected: Collected) {
        self.collector.arrived(&collected);
        if let Some(topology) = collected.topology {
            self.step(Event::TopologyRead(topology));
        }
        // What ended while the reading was made has been accounted for whole.
        let readings = self.hands.in_flight(collected.processes);
        let news = self.hands.in_flight(Arc::new(collected.news));
        let now = self.clock.now();
        let elapsed = self.collected_at.map_or(Duration::ZERO, |at| now.since(at));
        self.collected_at = Some(now);
        let own_cpu_cores = self.own_cpu.cores(&news, elapsed);
        let samples: Vec<_> = readings.iter().map(|(sample, _)| *sample).collect();
        let mut rows = self.thinning.rows(now, &samples, &news);
        self.step(Event::Sampled { system: collected.system, processes: samples, own_cpu_cores });
        self.look_at_baseline();
        let mut current = current(&self.scheduler, now, self.thresholds);
        current.insert(names::MEASURED.to_owned(), readings.len() as f64);
        current.insert(names::SAMPLING_CPU.to_owned(), collected.cost.as_secs_f64());
        let pause = self.readings.pause(self.collector.pace);
        current.insert(names::SAMPLING_INTERVAL.to_owned(), pause.as_secs_f64());
        self.ticks.write_to(&mut current);
        rows.push(SampleRow { at: now, attempt: None, metrics: current.clone() });
        self.journal.store().samples(rows);
        if self.plugins.is_due() {
            self.round += 1;
            let processes = self.hands.facts(&readings, now);
            let calibration = self.scheduler.needs().to_metrics();
            let round = PluginRound { number: self.round, processes, calibration, current };
            self.plugins.begin_round(Arc::new(round));
        }
    }

    /// Takes an event through the scheduler to the journal.
    fn step(&mut self, event: Event) {
        let now = self.clock.now();
        let step = self.scheduler.step(now, event);
        if step.facts.is_empty() && step.commands.is_empty() {
            return;
        }
        if let Some(done) = self.journal.take(now, step) {
            self.publish_and_perform(done);
        }
    }

    /// Works off the events that arose while commands were performed, and flushes publications nobody else will.
    fn settle(&mut self) {
        self.record();
        while let Some(event) = self.local.pop_front() {
            self.step(event);
            self.record();
        }
        if self.unflushed && self.publishing > 0 && self.scheduler.holding() == 0 {
            self.unflushed = false;
            self.hands.files.flush();
        }
    }

    /// Records what the steps so far brought, and goes on with what needs no more than that.
    fn record(&mut self) {
        while let Some(through) = self.journal.pass_on() {
            self.recorded(through);
        }
    }

    fn recorded(&mut self, through: u64) {
        while let Some(done) = self.journal.committed(through) {
            self.publish_and_perform(done);
        }
    }

    fn publish_and_perform(&mut self, done: Done) {
        if !done.facts.is_empty() {
            for subscriber in &mut self.subscribers {
                subscriber.facts(done.at, &done.facts);
            }
            if self.keep_output == KeepOutput::Failed {
                for fact in &done.facts {
                    if let Fact::TaskCompleted { attempt, .. } = fact {
                        self.hands.forget_logs(*attempt);
                    }
                }
            }
        }
        for command in done.commands {
            self.perform(command);
        }
        self.hands.give_orders();
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Launch { attempt, task, number, slot, path, cpus } => {
                let order = LaunchOrder { attempt, task, number, slot, path, cpus };
                if let Err(reason) = self.hands.launch(&order) {
                    self.local.push_back(Event::LaunchFailed { attempt, reason });
                }
            }
            Command::Stop { attempt, how } => self.hands.stop(attempt, how),
            Command::Freeze { attempt } => self.hands.freeze(attempt),
            Command::Thaw { attempt } => self.hands.thaw(attempt),
            Command::Validate { attempt, path } => self.hands.files.validate(attempt, &path),
            Command::Publish { attempt, outputs } => {
                self.publishing += 1;
                self.unflushed = true;
                self.hands.publish(attempt, outputs);
            }
            Command::Discard { attempt } => self.hands.discard(attempt),
            Command::WakeAt(at) => self.wake_at = Some(at),
            Command::WarnSlow { attempt, running_for } => {
                self.notice(Notice::Warning(words::slow(attempt, running_for)));
            }
            Command::WarnSpace { needed, room } => {
                self.notice(Notice::Warning(words::space(needed, room)));
            }
            Command::Suspect { attempt, suspicion } => {
                let words = format!("{} {suspicion}", self.hands.name(attempt));
                self.notice(Notice::Warning(words));
            }
            Command::Finish => {
                self.ended = Some(Ended::Finished(self.scheduler.fault().cloned()));
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        let at = self.clock.now();
        for subscriber in &mut self.subscribers {
            subscriber.notice(at, &notice);
        }
    }

    fn show_snapshot(&mut self) {
        self.next_snapshot = Instant::now() + SNAPSHOT_EVERY;
        let snapshot = self.scheduler.snapshot(self.clock.now());
        for subscriber in &mut self.subscribers {
            subscriber.snapshot(&snapshot);
        }
    }
}
