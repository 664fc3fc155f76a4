//! Starting the `orchestrator` command and reading how it ended.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long any single run may take on a busy machine before the test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status of the process.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Outcome {
    /// The exit code, or −signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }

    /// Both streams, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Passes itself on if the exit code is `code`.
    ///
    /// # Panics
    /// It is another one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "unexpected exit code; it said:\n{}", self.text());
        self
    }

    /// Passes itself on if each of `words` stands in what was said, in any case and on either stream.
    ///
    /// # Panics
    /// One is missing.
    #[track_caller]
    pub fn expect_words(self, words: &[&str]) -> Self {
        // A message may be wrapped and framed for the terminal; compare the words alone.
        let plain = |text: &str| -> String {
            let ink = text.chars().filter(|c| !c.is_whitespace() && !"│╭╰─·×╳▲┬".contains(*c));
            ink.collect::<String>().to_lowercase()
        };
        let said = plain(&self.text());
        for word in words {
            assert!(said.contains(&plain(word)), "{word:?} is missing in:\n{}", self.text());
        }
        self
    }
}

/// A running `orchestrator`; killed if the test forgets it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command` with its streams in files of `folder` named after `label`.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(mut command: Command, folder: &Path, label: &str) -> Self {
        let stdout = folder.join(format!("{label}.stdout"));
        let stderr = folder.join(format!("{label}.stderr"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file for stdout"))
            .stderr(File::create(&stderr).expect("a file for stderr"));
        let child = command.spawn().expect("the host starts");
        Self { child, stdout, stderr }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far: standard output and standard error.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}\n{}", read(&self.stdout), read(&self.stderr))
    }

    /// Sends a signal to this process alone.
    ///
    /// # Panics
    /// It cannot be sent; a process that has ended and is not yet waited for still takes it.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a signal to our own child");
    }

    /// True while it runs.
    ///
    /// # Panics
    /// The system cannot say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of our own child").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within [`LIMIT`].
    pub fn wait(mut self) -> Outcome {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of our own child") {
                return Outcome { status, stdout: read(&self.stdout), stderr: read(&self.stderr) };
            }
            assert!(start.elapsed() < LIMIT, "still running after {LIMIT:?}; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            let _ended_meanwhile = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(path) {
        let _partial = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
