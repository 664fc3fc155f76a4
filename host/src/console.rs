//! Standard error, shared by log lines, messages and the progress block, so that none tears another.
//!
//! A thread of its own writes, because the caller may be the loop of a run, which must never wait for a terminal that
//! was stopped (Ctrl-S) or for a pipe that nobody reads: what cannot be taken is counted and left out.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::style::{self, Style};

/// A terminal may take so long to lose the block.
const PATIENCE: Duration = Duration::from_millis(500);
/// Messages that may wait for the terminal.
const QUEUE: usize = 4096;

enum Message {
    /// Text with its line end, printed above the block.
    Text(String),
    /// The lines of the block; none removes it.
    Block(Vec<String>),
    /// Somebody waits until all that was sent before is written.
    Written(SyncSender<()>),
}

/// Standard error. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    style: Style,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sender: Mutex<Option<SyncSender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    left_out: AtomicU64,
}

impl Console {
    /// Standard error with its thread; without one, when no thread can be had, lines are written at once.
    pub(crate) fn stderr(style: Style) -> Self {
        Self::over(io::stderr(), style, style::rewraps().then_some(style::width))
    }

    fn over<W: Write + Send + 'static>(out: W, style: Style, columns: Option<fn() -> usize>) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("console".to_owned());
        let thread = thread.spawn(move || Screen::new(out, columns).run(&receiver)).ok();
        let sender = Mutex::new(thread.is_some().then_some(sender));
        Self {
            style,
            shared: Arc::new(Shared { sender, thread: Mutex::new(thread), left_out: AtomicU64::new(0) }),
        }
    }

    /// How it is dressed.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Prints a line (or several).
    pub(crate) fn line(&self, text: &str) {
        self.send(Message::Text(format!("{text}\n")));
    }

    /// Draws the block anew, below everything else; a block that comes too fast for the terminal is left out.
    pub(crate) fn block(&self, lines: Vec<String>) {
        self.send(Message::Block(lines));
    }

    /// Removes the block and waits until that is written, or for [`PATIENCE`] where the terminal takes nothing: what others write
    /// next, such as a shell while the process is stopped, is not taken for the block's lines later.
    pub(crate) fn hide(&self) {
        self.block(Vec::new());
        self.settle();
    }

    /// Waits until what was sent is written.
    fn settle(&self) {
        let (sender, written) = sync_channel(1);
        self.send(Message::Written(sender));
        let _late = written.recv_timeout(PATIENCE);
    }

    /// Removes the block and waits until everything is written. What is said later is written at once.
    pub(crate) fn close(&self) {
        self.block(Vec::new());
        drop(self.shared.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread cannot panic; if it did, there is nothing left to be written.
        let _ended = thread.map(JoinHandle::join);
    }

    fn send(&self, message: Message) {
        let sender = self.shared.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else {
            if let Message::Text(text) = message {
                // Nobody is left to be told when this fails.
                let _lost = io::stderr().write_all(text.as_bytes());
            }
            return;
        };
        let left_out = self.shared.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let text = format!("({left_out} lines left out: the terminal did not keep up)\n");
            if sender.try_send(Message::Text(text)).is_err() {
                self.shared.left_out.fetch_add(left_out, Ordering::Relaxed);
            }
        }
        if let Err(TrySendError::Full(Message::Text(_))) = sender.try_send(message) {
            self.shared.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The terminal as the thread knows it.
struct Screen<W> {
    out: W,
    /// The lines of the block that are on the screen: the columns that each takes.
    shown: Vec<usize>,
    block: Vec<String>,
    /// How wide the terminal is now, where it breaks lines anew when it is made narrower; `None` where it cuts them off.
    columns: Option<fn() -> usize>,
    /// Those who wait until it is written.
    waiting: Vec<SyncSender<()>>,
}

impl<W: Write> Screen<W> {
    fn new(out: W, columns: Option<fn() -> usize>) -> Self {
        Self { out, shown: Vec::new(), block: Vec::new(), columns, waiting: Vec::new() }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut text = String::new();
            let mut news = self.take(first, &mut text);
            while let Ok(next) = messages.try_recv() {
                news |= self.take(next, &mut text);
            }
            if news {
                self.draw(&text);
            }
            for waits in self.waiting.drain(..) {
                let _gone = waits.try_send(());
            }
        }
    }

    /// Whether there is anything to draw.
    fn take(&mut self, message: Message, text: &mut String) -> bool {
        match message {
            Message::Text(more) => text.push_str(&more),
            Message::Block(lines) => self.block = lines,
            Message::Written(waits) => {
                self.waiting.push(waits);
                return false;
            }
        }
        true
    }

    /// Text first, then the block, with automatic line breaks off so that a long line cannot move the others.
    fn draw(&mut self, text: &str) {
        let mut frame = String::new();
        let columns = self.columns.map_or(usize::MAX, |columns| columns());
        let rows: usize = self.shown.iter().map(|taken| taken.div_ceil(columns.max(1)).max(1)).sum();
        if rows > 0 {
            frame.push_str(&format!("\x1b[{rows}A\r\x1b[J"));
        }
        frame.push_str(text);
        if !self.block.is_empty() {
            frame.push_str("\x1b[?7l");
            for line in &self.block {
                frame.push_str(line);
                frame.push('\n');
            }
            frame.push_str("\x1b[?7h");
        }
        // What is too long is not continued on the next row.
        self.shown = self.block.iter().map(|line| visible(line).min(columns)).collect();
        // A terminal that is gone takes nothing; the run goes on without it.
        let _gone = self.out.write_all(frame.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// The columns that a line takes: its characters without the colours.
fn visible(line: &str) -> usize {
    let parts = line.split("\x1b[").enumerate();
    let plain = parts.map(|(index, part)| match (index, part.split_once('m')) {
        (1.., Some((_, text))) => text,
        _ => part,
    });
    plain.map(|text| text.chars().count()).sum()
}

/// Takes one log event at a time.
#[derive(Debug)]
pub(crate) struct LogLine(Console);

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(Message::Text(String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Console {
    type Writer = LogLine;

    fn make_writer(&self) -> LogLine {
        LogLine(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_stand_above_the_block_and_the_block_goes_in_the_end() {
        let sheet = Sheet::default();
        let mut screen = Screen::new(sheet.clone(), None);
        screen.block = vec!["50 %".to_owned(), "eta".to_owned()];
        screen.draw("");
        screen.draw("a warning\n");
        screen.block.clear();
        screen.draw("");
        let text = String::from_utf8(sheet.0.lock().unwrap().clone()).unwrap();
        let block = "\x1b[?7l50 %\neta\n\x1b[?7h";
        assert_eq!(text, format!("{block}\x1b[2A\r\x1b[Ja warning\n{block}\x1b[2A\r\x1b[J"));
    }

    /// What a second drawing moves up by, on a terminal that was `before` columns wide at the first.
    fn moves_up(before: fn() -> usize, now: Option<fn() -> usize>) -> String {
        let sheet = Sheet::default();
        let mut screen = Screen::new(sheet.clone(), Some(before));
        screen.block = vec!["x".repeat(50), String::new(), format!("\x1b[1;33m{}\x1b[0m", "y".repeat(20))];
        screen.draw("");
        sheet.0.lock().unwrap().clear();
        screen.columns = now;
        screen.draw("");
        let text = String::from_utf8(sheet.0.lock().unwrap().clone()).unwrap();
        text.split_inclusive('A').next().unwrap().to_owned()
    }

    #[test]
    fn a_terminal_made_narrower_has_broken_the_block_into_more_rows() {
        assert_eq!(moves_up(|| 80, Some(|| 80)), "\x1b[3A");
        assert_eq!(moves_up(|| 80, Some(|| 50)), "\x1b[3A", "what just fits is one row");
        assert_eq!(moves_up(|| 80, Some(|| 20)), "\x1b[5A", "50 are three rows of 20, colours take none");
        assert_eq!(moves_up(|| 80, Some(|| 19)), "\x1b[6A");
        assert_eq!(moves_up(|| 30, Some(|| 20)), "\x1b[4A", "what was cut at 30 is no longer than that");
        assert_eq!(moves_up(|| 20, Some(|| 80)), "\x1b[3A");
        assert_eq!(moves_up(|| 80, None), "\x1b[3A", "where lines are cut off, none is broken");
    }

    #[test]
    fn a_hidden_block_is_gone_at_once_and_the_next_one_erases_nothing() {
        let sheet = Sheet::default();
        let console = Console::over(sheet.clone(), Style::PLAIN, None);
        let drawn = |text: &str| {
            console.block(vec![text.to_owned()]);
            console.settle();
            String::from_utf8(std::mem::take(&mut *sheet.0.lock().unwrap())).unwrap()
        };
        assert_eq!(drawn("50 %"), "\x1b[?7l50 %\n\x1b[?7h");
        console.hide();
        assert_eq!(std::mem::take(&mut *sheet.0.lock().unwrap()), b"\x1b[1A\r\x1b[J");
        assert_eq!(drawn("60 %"), "\x1b[?7l60 %\n\x1b[?7h");
    }

    #[test]
    fn everything_said_before_the_close_is_written() {
        let sheet = Sheet::default();
        let console = Console::over(sheet.clone(), Style::PLAIN, None);
        for number in 0..1000 {
            console.line(&number.to_string());
        }
        console.close();
        let text = String::from_utf8(sheet.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1000, "{text}");
        assert!(text.ends_with("999\n"));
    }
}
