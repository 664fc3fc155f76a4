//! `run` and `calibrate`: from the configuration to the last word.

use orchestrator_core::Timestamp;
use orchestrator_core::capacity::Baseline;
use orchestrator_core::config::{Config, Loaded, Sources};
use orchestrator_core::scheduler::RunFault;
use orchestrator_runtime::{Ended, RunEnd};
use orchestrator_store::{RunEnd as StoredEnd, StoreGuard};
use serde_json::json;

use crate::cli::{CalibrateArgs, RunArgs, Selection};
use crate::compose::{Composed, OpenState, Wishes, compose};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::fingerprint::Fingerprints;
use crate::plugins::SearchPath;
use crate::preflight::{self, Depth};
use crate::reload::Reload;
use crate::report::Report;
use crate::session::Session;
use crate::signals::{self, Signals};
use crate::views::{self, PluginWatch, RunFacts};

/// Works through the input files.
pub(super) fn run(args: &RunArgs, session: &Session) -> Result<Exit, Failure> {
    let wishes = Wishes { retry_failed: args.retry_failed, fresh: args.fresh, ..Wishes::default() };
    go(&args.selection, wishes, session)
}

/// Works until calibration is complete.
pub(super) fn calibrate(args: &CalibrateArgs, session: &Session) -> Result<Exit, Failure> {
    let wishes = Wishes { calibrate_only: true, force_calibration: args.force, ..Wishes::default() };
    go(&args.selection, wishes, session)
}

fn go(selection: &Selection, wishes: Wishes, session: &Session) -> Result<Exit, Failure> {
    let loaded = session.load(selection)?;
    let config = &loaded.config;
    if wishes.calibrate_only && !config.calibration.enabled {
        return Err(Failure::CalibrationOff);
    }
    crate::logging::begin(session, &config.logging);
    let search = search_path(selection, session, &loaded);
    let catalog = search.scan(&config.plugins.trust)?;
    let plan = preflight::check(&loaded, &search, &catalog, Depth::First).accept(session)?;
    let program = plan.binary.ok_or(Failure::NoProgram)?;
    let prints = Fingerprints::of(config, &program).map_err(Failure::file("read", &program))?;
    let key = prints.calibration.clone();
    let state = OpenState::open(config, prints, wishes)?;
    state.remarks.iter().for_each(|remark| session.tell(&Report::warning("recovery", remark.clone())));
    if wishes.calibrate_only
        && let Some(baseline) = state.baseline()
    {
        say_baseline(&baseline, session)?;
        return Ok(Exit::Success);
    }
    let facts = RunFacts {
        config,
        state_directory: config.state_directory(),
        known: state.known(),
        typed: selection.typed(),
        plugins: PluginWatch::default(),
    };
    let watch = facts.plugins.clone();
    let mut views = views::for_run(session, facts);
    let subscribers = std::mem::take(&mut views.subscribers);
    let console = session.console.clone();
    let suspend = Box::new(move || {
        console.hide();
        signals::suspend_self();
    });
    let outcome = compose(config, &catalog, &program, state, wishes, subscribers, suspend)
        .inspect(|composed| watch.begin(composed.plugins.clone()))
        .and_then(|composed| perform(composed, config, selection, session));
    let (mut end, guard) = match outcome {
        Ok(done) => done,
        Err(failure) => {
            drop(views);
            return Err(failure);
        }
    };
    let exit = judge(&end, config);
    let code = exit.as_ref().map_or_else(Failure::exit, |exit| *exit);
    crate::learned::save(config, &config.state_directory(), &key, end.learned.take());
    let closed = close_state(guard, &end, code);
    views.close(code, end.ticks);
    if wishes.calibrate_only {
        say_baseline(&end.snapshot.baseline, session)?;
    }
    match exit {
        Err(failure) => Err(failure),
        Ok(exit) => closed.map(|()| exit),
    }
}

/// What `calibrate` measured, or that there was nothing to measure.
fn say_baseline(baseline: &Baseline, session: &Session) -> Result<(), Failure> {
    if session.json() {
        let known = (baseline.samples > 0).then_some(baseline);
        return session.print_json(&json!({ "event": "baseline", "baseline": known }));
    }
    if baseline.samples == 0 {
        let words = "nothing was measured: no file is left that could be (calibrate works on files that wait; `run --fresh` begins anew)";
        return session.print(words);
    }
    session.print(&views::words::baseline(baseline))
}

fn search_path(selection: &Selection, session: &Session, loaded: &Loaded) -> SearchPath {
    let configured = &loaded.config.plugins.directories;
    SearchPath::of_this_program(&selection.plugins_dir, session.sources.environment(), configured)
}

/// Runs the loop on this thread, while another hears signals and passes them on to it.
fn perform(
    composed: Composed,
    config: &Config,
    selection: &Selection,
    session: &Session,
) -> Result<(RunEnd, StoreGuard), Failure> {
    for failure in &composed.plugin_failures {
        session.tell(&Report::warning("plugin", failure.to_string()));
    }
    if let Some(remark) = &composed.remark {
        session.tell(&Report::warning("limits", remark.clone()));
    }
    let system = |what| move |source| Failure::System { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the loop"))?;
    let signals = runtime.block_on(async { Signals::listen() }).map_err(system("listen to signals"))?;
    let control = composed.sinks.control.clone();
    let reload = Reload {
        selection,
        session,
        ceiling: composed.ceiling,
        began_with: config,
        plugins: composed.plugins.clone(),
        events: composed.sinks.plugins.clone(),
    };
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let listen = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = is_over => {}
                    never = signals.pass_on(control, || reload.read_again()) => match never {},
                }
            });
        };
        let listener = std::thread::Builder::new().name("signals".into());
        listener.spawn_scoped(scope, listen).map_err(system("start the thread that hears signals"))?;
        // Dropped however the run ends: then the listener ends, too.
        let _over = over;
        composed.run().map_err(system("start the sampling thread"))
    })
}

/// The exit code of a run that ended, or why it could not go on.
fn judge(end: &RunEnd, config: &Config) -> Result<Exit, Failure> {
    match &end.ended {
        Ended::StoreFailed(detail) => Err(Failure::StateLost(detail.clone())),
        Ended::ScanFailed(detail) => Err(Failure::Scan(detail.clone())),
        Ended::PluginFailed(sentence) => Err(Failure::RequiredPlugin(sentence.clone())),
        Ended::Left => Ok(Exit::Interrupted),
        Ended::Finished(Some(RunFault::Spawn(fault))) => Err(Failure::Binary(fault.clone())),
        Ended::Finished(fault) => {
            let nothing = end.scan.as_ref().is_some_and(|scan| scan.matched == 0);
            if nothing && end.snapshot.counts.total() == 0 {
                return Err(Failure::NothingToDo {
                    directory: config.input.files_directory.clone(),
                    pattern: config.input.file_pattern.as_str().to_owned(),
                });
            }
            Ok(Exit::of_run(fault.as_ref(), end.snapshot.counts.failed))
        }
    }
}

/// Marks the run as ended in order, unless attempts were left behind or the store had failed.
fn close_state(guard: StoreGuard, end: &RunEnd, exit: Exit) -> Result<(), Failure> {
    if matches!(end.ended, Ended::Left | Ended::StoreFailed(_)) {
        drop(guard);
        return Ok(());
    }
    let ended_at: Timestamp = end.snapshot.at;
    let stored = StoredEnd { ended_at, exit: i32::from(exit.code()), counts: end.snapshot.counts };
    Ok(guard.finish(stored)?)
}
