//! `replay-trace`: a recorded trace through the predictors, one answer a row, then the figures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use orchestrator_core::predict::MemoryRules;
use orchestrator_core::predict::replay::{Replay, Totals, TraceReader, TraceTask};
use serde::Serialize;

use crate::cli::ReplayTraceArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// The last line.
#[derive(Serialize)]
struct Last {
    totals: Totals,
}

/// Answers each row before its result is shown to the predictors.
pub(super) fn replay_trace(args: &ReplayTraceArgs, session: &Session) -> Result<Exit, Failure> {
    let mut lines = Lines::open(&args.file)?;
    let header = lines.next()?.unwrap_or_default();
    let wrong = |error| Failure::Trace { path: args.file.clone(), error };
    let mut reader = TraceReader::new(&header).map_err(wrong)?;
    let mut replay = Replay::new(args.lag, MemoryRules::default());
    let mut order = Order::default();
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(line) = lines.next()? {
        let Some(row) = reader.read(&line).map_err(wrong)? else { continue };
        if let Some(remark) = order.look(&row.task) {
            session.console.line(&format!("{}: {remark}", args.file.display()));
        }
        let forecast = replay.forecast(&row.task);
        if session.json() {
            write_line(&mut out, &forecast)?;
        }
        replay.settle(&row.task, &forecast, row.outcome);
    }
    let totals = replay.totals();
    if session.json() {
        write_line(&mut out, &Last { totals })?;
    } else {
        out.write_all(text(&totals).as_bytes()).map_err(Failure::Stdout)?;
    }
    out.flush().map_err(Failure::Stdout)?;
    Ok(Exit::Success)
}

fn write_line<T: Serialize>(out: &mut impl Write, value: &T) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value).map_err(|error| Failure::Stdout(error.into()))?;
    out.write_all(b"\n").map_err(Failure::Stdout)
}

fn text(totals: &Totals) -> String {
    let share = |value: Option<f64>| {
        value.map_or_else(|| "unknown".to_owned(), |value| format!("{:.1} %", 100.0 * value))
    };
    format!(
        "tasks scored            {}\nfailed attempts         {}\nmemory held in vain     {:.3} GB·h\n\
         used of what was held   {}\nrun time, median error  {}\n",
        totals.n,
        totals.failures,
        totals.cost_gbh,
        share(totals.maq),
        share(totals.runtime_median_error),
    )
}

/// Lines of a file or of standard input.
struct Lines<'a> {
    path: &'a Path,
    from: Box<dyn BufRead>,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let from: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).map_err(Failure::file("read", path))?))
        };
        Ok(Self { path, from })
    }

    /// The next line, without a byte order mark; `None` at the end.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).map_err(Failure::file("read", self.path))?;
        if let Some(text) = line.strip_prefix('\u{feff}') {
            line = text.to_owned();
        }
        Ok((read > 0).then_some(line))
    }
}

/// Looks whether rows stand in order of start.
#[derive(Default)]
struct Order {
    last: BTreeMap<(String, String), u64>,
    said: bool,
}

impl Order {
    /// What is to be said about the order, once.
    fn look(&mut self, task: &TraceTask) -> Option<String> {
        let last = self.last.insert((task.workflow.clone(), task.task.clone()), task.seq)?;
        if self.said || last <= task.seq {
            return None;
        }
        self.said = true;
        Some(format!(
            "seq goes back from {last} to {} in {}/{}: rows are taken in the order of the file; sort it by order of \
             start if that is another",
            task.seq, task.workflow, task.task
        ))
    }
}
