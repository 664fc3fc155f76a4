//! Signals, turned into requests to the run.
//!
//! First SIGINT or SIGTERM: drain; second: stop what runs; third: leave at once, even
//! when the loop hangs in the kernel. SIGTSTP suspends us and what runs until
//! SIGCONT. SIGHUP reads the configuration again. SIGUSR1 shows where things stand.

use std::convert::Infallible;
use std::time::Duration;

use orchestrator_core::scheduler::Policy;
use orchestrator_ports::Sink;
use orchestrator_runtime::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Who was told to leave at once, and has not left by then, hangs.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The signals that a run listens to, from now on in our hands.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    suspend: Signal,
    report: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            report: signal(SignalKind::user_defined1())?,
        })
    }

    /// Passes them on, for ever. `reload` reads the configuration again; when that fails it says so itself and returns
    /// `None`, and the old configuration stays in force.
    pub(crate) async fn pass_on(
        mut self,
        control: Sink<Control>,
        reload: impl Fn() -> Option<Policy>,
    ) -> Infallible {
        let mut stops = 0;
        loop {
            let request = tokio::select! {
                _ = self.interrupt.recv() => stop(&mut stops),
                _ = self.terminate.recv() => stop(&mut stops),
                _ = self.suspend.recv() => Some(Control::Suspend),
                _ = self.report.recv() => Some(Control::Report),
                _ = self.hangup.recv() => reload().map(|policy| Control::Reload(Box::new(policy))),
            };
            if let Some(request) = request {
                if matches!(request, Control::Leave) {
                    leave_anyway(stops);
                }
                control(request);
            }
        }
    }
}

/// From the third stop on: where the process is not gone soon, ends what it launched, and then itself. The state is safe:
/// what was recorded stands, the rest is done again by the next run.
fn leave_anyway(stops: u32) {
    if stops > 3 {
        return;
    }
    let leave = || {
        std::thread::sleep(LEAVE_WITHIN);
        if !orchestrator_exec_local::kill_launched() {
            tracing::error!("what runs could not be ended; the next start does it");
        }
        leave_now(Exit::Interrupted);
    };
    if let Err(error) = std::thread::Builder::new().name("leave".to_owned()).spawn(leave) {
        tracing::error!(%error, "nobody sees to it that the run is left");
    }
}

#[expect(clippy::exit, reason = "the thread that would return from `main` hangs")]
fn leave_now(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.code()))
}

fn stop(stops: &mut u32) -> Option<Control> {
    *stops += 1;
    Some(match *stops {
        1 => Control::Drain,
        2 => Control::StopNow,
        _ => Control::Leave,
    })
}

/// Stops this very process until SIGCONT.
pub(crate) fn suspend_self() {
    if let Err(error) =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
    {
        tracing::error!(%error, "could not suspend");
    }
}
