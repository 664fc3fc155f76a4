//! The only place that knows every room: builds them for one run, runs it, ends it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use orchestrator_core::capacity::Baseline;
use orchestrator_core::config::model::{Config, Durability, ResumeKey};
use orchestrator_core::placement::{Placement, Topology};
use orchestrator_core::plan::{CommandPlan, uses_private_output};
use orchestrator_core::scheduler::{InputPath, KnownTasks, Policy, Restored, Scheduler, TaskState};
use orchestrator_core::validation::OutputRules;
use orchestrator_core::{AttemptId, RunId, TaskId};
use orchestrator_exec_local::{Checks, LocalExecutor, Options, orphans};
use orchestrator_files::{FilesOptions, Known, LocalFiles};
use orchestrator_plugin_host::{Catalog, InstanceFailure, PluginControl, PluginHost};
use orchestrator_ports::{ChildSettings, Clock, StopSignal, Subscriber};
use orchestrator_runtime::{
    LaunchSettings, Rooms, RunEnd, Settings, Sinks, SystemClock, Thresholds, channel,
};
use orchestrator_store::{Loaded, OpenOptions, Retention, RunInfo, StateDir, StoreGuard};
use orchestrator_sysmon::{SystemProbe, topology};

use crate::ceiling::Ceiling;
use crate::errors::Failure;
use crate::fingerprint::Fingerprints;
use crate::known::KnownPaths;
use crate::output_check::output_check;

/// Orphans of a killed host may take so long to die.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// What a run is asked for beyond its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Try again what had failed for good.
    pub(crate) retry_failed: bool,
    /// Forget the state of earlier runs.
    pub(crate) fresh: bool,
    /// Calibrate, and nothing else.
    pub(crate) calibrate_only: bool,
    /// Measure even though a baseline is stored.
    pub(crate) force_calibration: bool,
}

/// A state directory that is locked for this run, and what it knows.
pub(crate) struct OpenState {
    directory: StateDir,
    fingerprints: Fingerprints,
    restored: Restored,
    /// What is worth telling the user about how the last run ended.
    pub(crate) remarks: Vec<String>,
}

impl OpenState {
    /// Opens and locks the state, ends what a killed host left running, and reads back what is known.
    ///
    /// # Errors
    /// As the store says: locked, damaged, newer, not writable.
    pub(crate) fn open(config: &Config, fingerprints: Fingerprints, wishes: Wishes) -> Result<Self, Failure> {
        let retention = Retention {
            max_age: config.metrics.retention.max_age.get(),
            max_rows: config.metrics.retention.max_rows,
        };
        let options = OpenOptions { fresh: wishes.fresh, retention };
        let directory = StateDir::open(&config.state_directory(), &options)?;
        let mut tasks = KnownTasks::with_room_for(directory.tasks()?);
        let Loaded { mut stale, next_attempt } =
            directory.load(&fingerprints.command, |task| tasks.add(task))?;
        let mut remarks: Vec<String> = directory.recovery().sentence().into_iter().collect();
        let ended = end_orphans(&directory, &tasks)?;
        if ended > 0 {
            remarks.push(format!("{ended} processes that the last run left behind were ended"));
        }
        let rebooted = directory.recovery().unclean && directory.recovery().rebooted;
        let lost = lost_outputs(config, &directory, rebooted)?;
        if !lost.is_empty() {
            let count = lost.len();
            remarks.push(format!("the outputs of {count} completed files are gone; they are made again"));
            stale.extend(lost);
            stale.sort_unstable();
            stale.dedup();
        }
        if wishes.force_calibration {
            directory.forget_baseline(&fingerprints.calibration)?;
        }
        let baseline = directory.baseline(&fingerprints.calibration)?;
        let retry_failed = wishes.retry_failed;
        let learned = crate::learned::load(config, &config.state_directory(), &fingerprints.calibration);
        let restored = Restored { tasks, stale, retry_failed, next_attempt, baseline, learned };
        Ok(Self { directory, fingerprints, restored, remarks })
    }

    /// Names of tasks that earlier runs attempted and that are not completed, or new work again, for the views.
    pub(crate) fn known(&self) -> Vec<(TaskId, InputPath)> {
        let Restored { tasks, stale, .. } = &self.restored;
        let is_stale = |task: TaskId| stale.binary_search(&task).is_ok();
        let open = tasks.states().filter(|(task, state)| *state != TaskState::Completed || is_stale(*task));
        open.map(|(task, _)| (task, tasks.path(task))).collect()
    }

    /// The baseline that would be reused.
    pub(crate) fn baseline(&self) -> Option<Baseline> {
        self.restored.baseline
    }
}

/// Ends what a killed host left running.
fn end_orphans(directory: &StateDir, tasks: &KnownTasks) -> Result<usize, Failure> {
    let recovery = directory.recovery();
    if !recovery.unclean || recovery.rebooted {
        return Ok(0);
    }
    let recorded: Vec<_> = tasks.open().filter_map(|open| open.identity).collect();
    Ok(orphans::kill_orphans(directory.state_id(), &recorded, ORPHAN_PATIENCE)?)
}

/// Completed tasks whose output is not there: somebody removed it, so it is wanted again. After the machine went down
/// it must also have the recorded size. (One look at the file system for every output; a command that makes none has
/// none to make again.)
fn lost_outputs(config: &Config, directory: &StateDir, sizes_too: bool) -> Result<Vec<TaskId>, Failure> {
    let mut lost = Vec::new();
    if !uses_private_output(config) {
        return Ok(lost);
    }
    directory.published(|task, outputs| {
        let whole = outputs.iter().all(|output| {
            let path = config.output.directory.join(OsStr::from_bytes(output.path.as_bytes()));
            std::fs::symlink_metadata(path).is_ok_and(|found| !sizes_too || found.len() == output.size)
        });
        if !whole {
            lost.push(task);
        }
    })?;
    Ok(lost)
}

/// A run whose rooms stand and that can begin.
pub(crate) struct Composed {
    rooms: Rooms,
    scheduler: Scheduler,
    inbox: orchestrator_runtime::Inbox,
    settings: Settings,
    guard: StoreGuard,
    checks: Arc<Checks>,
    /// Where signals and other requests go.
    pub(crate) sinks: Sinks,
    /// A way to look at the plugins and to reload them.
    pub(crate) plugins: PluginControl,
    /// Plugins that could not be started and that the run goes on without.
    pub(crate) plugin_failures: Vec<InstanceFailure>,
    /// Bounds that hold for the whole run.
    pub(crate) ceiling: Ceiling,
    /// What the user is to be told about them.
    pub(crate) remark: Option<String>,
}

/// Builds all rooms of a run. `suspend` stops this process until somebody lets it go on.
///
/// # Errors
/// A room cannot be opened; a class that no library exports, or a required plugin that cannot be started.
pub(crate) fn compose(
    config: &Config,
    catalog: &Catalog,
    program: &Path,
    state: OpenState,
    wishes: Wishes,
    subscribers: Vec<Box<dyn Subscriber>>,
    suspend: Box<dyn Fn() + Send>,
) -> Result<Composed, Failure> {
    let (inbox, sinks) = channel();
    let specs = crate::plugins::specs(&config.plugins, catalog);
    let options = crate::plugins::start_options(config);
    let (plugins, plugin_failures) = PluginHost::start(catalog, &specs, &options, Arc::clone(&sinks.plugins));
    let (fatal, plugin_failures): (Vec<_>, Vec<_>) =
        plugin_failures.into_iter().partition(|failure| failure.required || failure.is_unknown_class());
    if !fatal.is_empty() {
        return Err(Failure::Plugins(fatal));
    }
    let control = plugins.control();
    let clock = SystemClock::start();
    let OpenState { directory, fingerprints, restored, .. } = state;
    let state_id = directory.state_id().to_owned();
    let info = RunInfo {
        started_at: clock.now(),
        command_hash: fingerprints.command,
        calibration_key: fingerprints.calibration,
        config_digest: fingerprints.config,
    };
    let keep: BTreeSet<AttemptId> =
        restored.tasks.open().filter(|open| open.accepted.is_some()).map(|open| open.attempt).collect();
    let known = KnownPaths::new(&restored.tasks);
    // Known when the store begins the run, which is before anything can be checked.
    let run_id = Arc::new(OnceLock::new());
    let mut options = files_options(config, Arc::new(move |path: &[u8]| known.contains(path)));
    // Runs with other state directories may share the output directory.
    options.partial_dir = options.partial_dir.join(&state_id);
    let failed = |source| Failure::System { what: "prepare checks of outputs", source };
    let checks = Arc::new(Checks::new().map_err(failed)?);
    options.check = output_check(config, &state_id, Arc::clone(&run_id), Arc::clone(&checks));
    let files = LocalFiles::start(options, Arc::clone(&sinks.files))?;
    files.handle().sweep(&keep)?;
    let executor = LocalExecutor::start(Arc::clone(&sinks.executor), executor_options(config))?;
    let (run, store, guard) = directory.start(&info, Arc::clone(&sinks.store))?;
    run_id.get_or_init(|| run);
    let mut policy = Policy { calibrate_only: wishes.calibrate_only, ..Policy::from_config(config) };
    let ceiling = Ceiling::observe();
    let remark = ceiling.bound(&mut policy);
    let probe = SystemProbe::new(&config.output.directory).map_err(|error| Failure::System {
        what: "observe the machine",
        source: std::io::Error::other(error),
    })?;
    let rooms = Rooms {
        executor: Box::new(executor),
        files: Box::new(files),
        store: Box::new(store),
        plugins: Box::new(plugins),
        probe: Box::new(probe),
        clock: Box::new(clock),
        subscribers,
    };
    let settings = settings(config, program, state_id, run, suspend);
    let scheduler = Scheduler::new(policy, restored);
    let plugins = control;
    Ok(Composed {
        rooms,
        scheduler,
        inbox,
        settings,
        guard,
        checks,
        sinks,
        plugins,
        plugin_failures,
        ceiling,
        remark,
    })
}

impl Composed {
    /// Runs to the end.
    ///
    /// # Errors
    /// The sampling thread cannot be started.
    pub(crate) fn run(self) -> std::io::Result<(RunEnd, StoreGuard)> {
        let end = orchestrator_runtime::run(self.rooms, self.scheduler, self.inbox, self.settings);
        // Nobody waits for their verdicts any more.
        self.checks.end();
        Ok((end?, self.guard))
    }
}

fn executor_options(config: &Config) -> Options {
    Options {
        leak_timeout: config.timeouts.leak_after.get(),
        descendant_grace: config.shutdown.grace_seconds.get(),
        ..Options::default()
    }
}

fn settings(
    config: &Config,
    program: &Path,
    state_id: String,
    run: RunId,
    suspend_self: Box<dyn Fn() + Send>,
) -> Settings {
    let mut resolved = config.clone();
    resolved.binary.path = program.to_path_buf();
    let launch = LaunchSettings {
        plan: CommandPlan::new(&resolved),
        input_directory: config.input.files_directory.clone(),
        state_directory: config.state_directory(),
        state_id,
        run,
        private_output: uses_private_output(config),
        capture: config.logging.capture,
        capture_bytes: config.logging.max_bytes.get(),
        child: Arc::new(ChildSettings { clear_env: config.binary.clear_env, ..ChildSettings::default() }),
        stop_signal: StopSignal(config.shutdown.signal.number()),
        kill_mode: config.shutdown.kill_mode,
    };
    let limits = &config.resource_limits;
    Settings {
        launch,
        interval: config.metrics.interval.get(),
        thresholds: Thresholds {
            cpu: limits.cpu_threshold_percent.get(),
            memory: limits.memory_threshold_percent.get(),
            disk: limits.disk_usage_threshold_percent.get(),
        },
        durability: config.output.durability,
        keep_output: config.logging.keep,
        topology: match config.concurrency.placement {
            Placement::Node | Placement::Core(_) => topology::usable(),
            // The first reading of the machine brings it, early enough for what is placed later, or told to be.
            Placement::Auto | Placement::None => Topology::default(),
        },
        suspend_self,
    }
}

/// Settings of the files room, without `output.validation.command`.
pub(crate) fn files_options(config: &Config, known: Known) -> FilesOptions {
    let output = &config.output;
    let input = &config.input;
    let mut options =
        FilesOptions::new(input.files_directory.clone(), output.directory.clone(), &output.file_suffix);
    options.pattern = input.file_pattern.as_str().to_owned();
    options.exclude = input.exclude.iter().map(|glob| glob.as_str().to_owned()).collect();
    options.recursive = input.recursive;
    options.follow_symlinks = input.follow_symlinks;
    options.skip_dirs = vec![config.state_directory(), output.directory.join(".orchestrator")];
    options.durability = match output.durability {
        Durability::Batch => orchestrator_files::Durability::Batch,
        Durability::Strict => orchestrator_files::Durability::Strict,
        Durability::Relaxed => orchestrator_files::Durability::Relaxed,
    };
    options.rules = OutputRules {
        required: config.output_required(),
        min_bytes: output.validation.min_bytes.get(),
        non_empty: output.validation.non_empty,
    };
    options.known = known;
    options.content_fingerprints = config.resume.key == ResumeKey::Content;
    options
}
