//! Standard output as a stream of JSON lines, written by a thread of its own.
//!
//! The loop of a run must not wait for whoever reads: when [`QUEUE`] lines wait, further ones are left out, and a `gap`
//! event says how many. At the end everything that waits is written, however long the reader takes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// Lines that may wait for the reader.
const QUEUE: usize = 32_768;

/// The stream. All clones are one.
#[derive(Clone)]
pub(crate) struct Stream {
    sender: Arc<Mutex<Option<SyncSender<String>>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    left_out: Arc<AtomicU64>,
}

impl Stream {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::over(io::stdout(), QUEUE)
    }

    fn over<W: Write + Send + 'static>(out: W, queue: usize) -> Self {
        let (sender, receiver) = sync_channel(queue);
        let thread = std::thread::Builder::new().name("events".to_owned());
        let thread = thread.spawn(move || write_all(out, &receiver)).ok();
        Self {
            sender: Arc::new(Mutex::new(thread.is_some().then_some(sender))),
            thread: Arc::new(Mutex::new(thread)),
            left_out: Arc::default(),
        }
    }

    /// Hands over one event.
    pub(crate) fn line(&self, event: &Value) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return };
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 && sender.try_send(json!({"event": "gap", "lines": left_out}).to_string()).is_err() {
            self.left_out.fetch_add(left_out, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(_)) = sender.try_send(event.to_string()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written.
    pub(crate) fn close(&self) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if let Some(sender) = sender.filter(|_| left_out > 0) {
            // The run is over: now there is time to wait for the reader. It fails only when the reader is gone.
            let _gone = sender.send(json!({"event": "gap", "lines": left_out}).to_string());
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ended = thread.map(JoinHandle::join);
    }
}

/// Writes what comes, flushing whenever nothing waits. A reader that went away ends the stream, not the run.
fn write_all<W: Write>(out: W, lines: &Receiver<String>) {
    let mut out = io::BufWriter::new(out);
    while let Ok(line) = lines.recv() {
        let mut written = writeln!(out, "{line}");
        while let (Ok(()), Ok(line)) = (&written, lines.try_recv()) {
            written = writeln!(out, "{line}");
        }
        if written.and_then(|()| out.flush()).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A reader that takes nothing until it is told to.
    struct Slow {
        gate: Receiver<()>,
        lines: Sender<u8>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The gate opens for good when its other end is gone.
            let _open = self.gate.recv();
            bytes.iter().for_each(|byte| self.lines.send(*byte).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_never_holds_the_run_up_and_learns_of_the_gap() {
        let (open, gate) = channel();
        let (lines, written) = channel();
        let stream = Stream::over(Slow { gate, lines }, 4);
        for number in 0..1000 {
            stream.line(&json!({ "number": number }));
        }
        drop(open);
        stream.close();
        let text = String::from_utf8(written.iter().collect()).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = events.iter().filter(|event| event["number"].is_number()).count() as u64;
        let missing: u64 = events.iter().filter_map(|event| event["lines"].as_u64()).sum();
        assert_eq!(told + missing, 1000, "{text}");
        assert!(missing > 0 && events[0]["number"] == 0);
    }
}
