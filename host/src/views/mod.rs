//! Those who watch a run.
//!
//! - [`story`] keeps what the others tell: names of tasks, counts, the first failures.
//! - [`human`] is talk on standard error: a line a failure, and [`progress`] as a block on a terminal or a line now and
//!   then elsewhere.
//! - [`json`] is data on standard output: one event a line.
//! - [`status_file`] keeps `live.json` in the state directory for `status` and `explain`.
//! - [`summary`] is the end: what happened and what to type next.
//!
//! To add a view: implement `Subscriber`, read the [`story::Story`] that [`for_run`] shares out, add it there.

#[cfg(test)]
pub(crate) mod documented;
pub(crate) mod forecast;
mod human;
mod json;
pub(crate) mod plugins;
pub(crate) mod progress;
pub(crate) mod status_file;
mod story;
mod stream;
pub(crate) mod summary;
pub(crate) mod words;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use orchestrator_core::TaskId;
use orchestrator_core::config::Config;
use orchestrator_core::scheduler::InputPath;
use orchestrator_ports::Subscriber;
use orchestrator_runtime::TickTimes;

use crate::console::Console;
use crate::exit::Exit;
use crate::session::Session;
pub(crate) use plugins::PluginWatch;
use serde_json::json;
use story::{Historian, Story};
use stream::Stream;

/// What the views are told about a run before it begins.
#[derive(Debug)]
pub(crate) struct RunFacts<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// Where the state lives.
    pub(crate) state_directory: PathBuf,
    /// Names of the tasks that earlier runs attempted and that are not completed.
    pub(crate) known: Vec<(TaskId, InputPath)>,
    /// The words that choose this configuration, to be typed after `orchestrator run` and its kin.
    pub(crate) typed: Vec<String>,
    /// The plugin instances, once there are any.
    pub(crate) plugins: PluginWatch,
}

/// The views of a run: hand out the subscribers, then close.
pub(crate) struct RunViews {
    /// Those who watch, in the order in which they are to be told.
    pub(crate) subscribers: Vec<Box<dyn Subscriber>>,
    story: Rc<RefCell<Story>>,
    console: Console,
    stream: Option<Stream>,
    typed: Vec<String>,
    plugins: PluginWatch,
}

/// The views of a run that is about to begin: progress or plain lines on standard error, or JSON events on standard
/// output, and `live.json`.
pub(crate) fn for_run(session: &Session, facts: RunFacts<'_>) -> RunViews {
    let story = Rc::new(RefCell::new(Story::new(facts.known)));
    let mut subscribers: Vec<Box<dyn Subscriber>> = vec![Box::new(Historian::new(Rc::clone(&story)))];
    let mut stream = None;
    if session.json() {
        let out = Stream::stdout();
        let view =
            json::JsonView::begin(out.clone(), Rc::clone(&story), facts.config, &facts.state_directory);
        subscribers.push(Box::new(view));
        stream = Some(out);
    } else {
        let thresholds = progress::Thresholds::of(&facts.config.resource_limits);
        subscribers.push(Box::new(human::HumanView::new(
            session.console.clone(),
            Rc::clone(&story),
            thresholds,
        )));
    }
    let plugins = facts.plugins;
    subscribers.push(Box::new(status_file::StatusFile::begin(&facts.state_directory, plugins.clone())));
    let (console, typed) = (session.console.clone(), facts.typed);
    RunViews { subscribers, story, console, stream, typed, plugins }
}

impl Drop for RunViews {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.close();
        }
    }
}

impl RunViews {
    /// The last word: the summary and the next command to type, on standard error or as the last event. To be called
    /// when the run is over, whatever came of it; waits until everything is written.
    pub(crate) fn close(mut self, exit: Exit, ticks: TickTimes) {
        self.subscribers.clear();
        self.console.block(Vec::new());
        let story = self.story.borrow();
        let plugins = self.plugins.status();
        match self.stream.take() {
            Some(stream) => {
                let mut last = summary::event(&story, exit, &self.typed);
                last["plugins"] = json!(plugins);
                last["ticks"] = plugins::ticks(ticks);
                stream.line(&last);
                stream.close();
            }
            None => {
                for line in summary::lines(&story, exit, &self.typed, &plugins, self.console.style()) {
                    self.console.line(&line);
                }
            }
        }
    }
}
