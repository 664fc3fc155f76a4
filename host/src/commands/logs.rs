//! `logs`: what the process of a file wrote.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use orchestrator_store::{AttemptView, TaskView};
use serde_json::json;

use super::state::State;
use crate::cli::LogsArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Copies the captured streams to standard output; their names go to standard error.
pub(super) fn logs(args: &LogsArgs, session: &Session) -> Result<Exit, Failure> {
    let state = State::open(&args.state, session)?;
    let task = state.task(&args.task)?;
    let attempt = chosen(&task, args.attempt)?;
    let wanted = ["stdout", "stderr"].into_iter().filter(|stream| match *stream {
        "stdout" => !args.stderr,
        _ => !args.stdout,
    });
    let mut found = Vec::new();
    for stream in wanted {
        let path = state.log(attempt.attempt, stream);
        match File::open(&path) {
            Ok(file) => found.push((stream, path, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::file("read", path)(error)),
        }
    }
    let which = format!("{}, attempt {}", task.path, attempt.number);
    if found.is_empty() && !session.json() {
        let why =
            "it wrote nothing, its output went to a file, or it was not kept (logging.capture, logging.keep)";
        session.console.line(&format!("{which}: nothing was captured: {why}"));
    }
    let several = found.len() > 1;
    for (stream, path, file) in found {
        if session.json() {
            let text = read(file, &path)?;
            session.print_json(&json!({
                "event": "log", "task": task.task, "path": task.path, "attempt": attempt.number,
                "stream": stream, "file": path, "text": String::from_utf8_lossy(&text),
            }))?;
        } else {
            if several {
                session.console.line(&session.style().strong(&format!("== {which}: {stream} ==")));
            }
            copy(file, &path)?;
        }
    }
    Ok(Exit::Success)
}

fn chosen(task: &TaskView, number: Option<u32>) -> Result<&AttemptView, Failure> {
    let found = match number {
        Some(number) => task.attempts.iter().find(|attempt| attempt.number == number),
        None => task.attempts.last(),
    };
    found.ok_or_else(|| Failure::NoAttempt {
        path: task.path.to_string(),
        made: u32::try_from(task.attempts.len()).unwrap_or(u32::MAX),
        wanted: number.unwrap_or(1),
    })
}

fn read(mut file: File, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(Failure::file("read", path))?;
    Ok(text)
}

fn copy(mut file: File, path: &Path) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(Failure::file("read", path))?;
        if read == 0 {
            return out.flush().map_err(Failure::Stdout);
        }
        out.write_all(&buffer[..read]).map_err(Failure::Stdout)?;
    }
}
