//! Real children to look at.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::AttemptId;
use orchestrator_core::metrics::ProcessSample;
use orchestrator_core::scheduler::ProcessIdentity;
use orchestrator_ports::{Probe, ProbeTarget};
use orchestrator_sysmon::SystemProbe;

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A child in a group of its own; its group is killed and it is reaped when dropped.
pub(crate) struct Subject {
    child: Child,
    pub(crate) target: ProbeTarget,
    directory: tempfile::TempDir,
}

impl Subject {
    /// Runs a script; `$DIR` is a directory of its own.
    pub(crate) fn shell(attempt: u64, script: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Self::run(attempt, command)
    }

    pub(crate) fn run(attempt: u64, mut command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.env("DIR", directory.path()).env("ORCHESTRATOR_ATTEMPT_ID", attempt.to_string());
        command.env("ORCHESTRATOR_STATE_ID", format!("sysmon-{}", std::process::id()));
        let child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let identity = ProcessIdentity { pid: child.id(), start_ticks: start_ticks(child.id()) };
        let target = ProbeTarget { attempt: AttemptId(attempt), identity };
        Self { child, target, directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.target.identity.pid
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits until the script has made this file.
    pub(crate) fn ready(&self, name: &str) {
        wait_until(|| self.path(name).exists().then_some(()));
    }

    /// Waits until it sleeps and has been looked at so often that nothing new is expected of it.
    pub(crate) fn settled(&self, probe: &mut SystemProbe) -> ProcessSample {
        let mut before = None;
        wait_until(|| {
            let now = self.sample(probe).map(|(sample, _)| sample).filter(|sample| sample.states[0] == 0);
            let same = now.is_some() && now == before;
            before = now;
            same.then_some(now).flatten()
        })
    }

    /// Lets a script go on that reads a line from the pipe `$DIR/go`, and waits until it has made the file `done`.
    pub(crate) fn go(&self) {
        std::fs::write(self.path("go"), "\n").unwrap();
        self.ready("done");
    }

    pub(crate) fn kill(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        self.child.wait().unwrap();
    }

    /// One reading of this tree alone.
    pub(crate) fn sample(&self, probe: &mut SystemProbe) -> Option<(ProcessSample, Arc<[u32]>)> {
        let samples = probe.processes(&[self.target]);
        assert!(samples.len() <= 1);
        samples.first().cloned()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn probe() -> SystemProbe {
    SystemProbe::new(&std::env::temp_dir()).unwrap()
}

pub(crate) fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// Looks again and again until there is an answer.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}
