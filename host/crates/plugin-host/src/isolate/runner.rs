//! The runner: the child's side.
//!
//! One thread takes orders and calls the plugin. A second, the watchdog, ends the process when the host is gone, even
//! while the plugin hangs; so does the kernel (`PR_SET_PDEATHSIG`), should the plugin have done away with the watchdog.

use super::link::{self, Inbox};
use super::page;
use super::sandbox;
use super::upward::Upward;
use super::wire::{
    Begin, Measured, Order, Process, Refusal, Report, SYSTEM, Spent, WireFault, values, wire_dropped,
};
use crate::instance::collect::{Dropped, Ledger, Room};
use crate::instance::context::Context;
use crate::instance::engine::{Birth, Call, Engine, StillBirth, is_final};
use crate::library::{Library, VerifiedFile};
use orchestrator_core::metrics::Metrics;
use rustix::event::PollFlags;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Values that are gathered before they are sent.
const GATHERED: usize = 512;

/// Serves the host at standard input until it is gone; does not return then.
///
/// # Errors
/// Standard input is no socket of a host's, or the host left before its first word.
pub fn run_here() -> io::Result<()> {
    let socket = take_socket()?;
    ignore_the_terminal();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let [library, page] = link::receive_descriptors(socket.as_fd())?;
    let stamp = page::stamp_for_good(&page)?;
    drop(page);
    let upward: &'static Upward = Box::leak(Box::new(Upward::new(socket)));
    let mut inbox = Inbox::new();
    let Some(first) = inbox.next(upward.socket())? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let Ok(Order::Begin(begin)) = link::decode(first) else { return Err(io::ErrorKind::InvalidData.into()) };
    let context = Context::leak_in_runner(upward, begin.deadline, stamp);
    match born(&begin, library, upward, context) {
        Ok((engine, spent)) => {
            upward.report(&Report::Ready(spent))?;
            Served { engine, context, upward }.orders(&mut inbox)
        }
        Err(refusal) => upward.report(&Report::Refused(refusal))?,
    }
    leave()
}

/// The socket moves away from standard input, where a plugin might read or close it; nothing else was inherited.
fn take_socket() -> io::Result<OwnedFd> {
    let stdin = rustix::stdio::stdin();
    if !link::is_ours(stdin) {
        return Err(io::Error::other("this is for the program itself: it needs a socket as standard input"));
    }
    // SAFETY: the process has just begun: nobody holds a descriptor above the standard ones.
    if unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let nothing = OpenOptions::new().read(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(socket)
}

/// Keys that are meant for the host reach its whole process group; what becomes of runners is the host's decision.
fn ignore_the_terminal() {
    let keys = [
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    for key in keys {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(key, libc::SIG_IGN) };
    }
}

/// Ends the process without running what the plugin registered to be run.
fn leave() -> ! {
    // SAFETY: nothing of this process is needed any more.
    unsafe { libc::_exit(0) }
}

/// Shuts in, loads, constructs.
fn born(
    begin: &Begin<'_>,
    library: OwnedFd,
    upward: &'static Upward,
    context: &'static Context,
) -> Result<(Engine, Spent), Refusal> {
    let hash = blake3::Hash::from_bytes(begin.hash);
    let file = VerifiedFile::receive(library, begin.path(), Some(&hash))
        .map_err(|problem| Refusal::Library(problem.fault.to_string()))?;
    confine(begin).map_err(|error| Refusal::Sandbox(error.to_string()))?;
    watch_host(upward.socket()).map_err(|error| Refusal::Sandbox(error.to_string()))?;
    let library =
        Library::load_isolated(&file).map_err(|problem| Refusal::Library(problem.fault.to_string()))?;
    let birth = Birth {
        kind: begin.kind(),
        class: begin.class,
        config: begin.config,
        described: file.file().class(begin.kind(), begin.class),
        restore: begin.restore,
    };
    let mut spent = Spent::default();
    let mut book = |call: Call<()>| {
        spent.wall += call.wall;
        spent.cpu += call.cpu;
    };
    match Engine::construct(library, &birth, context, &mut book) {
        Ok(engine) => Ok((engine, spent)),
        Err(StillBirth::NoConstructor) => Err(Refusal::NoConstructor),
        Err(StillBirth::Refused(fault)) => Err(Refusal::Constructor(spent, fault.into())),
    }
}

fn confine(begin: &Begin<'_>) -> Result<(), sandbox::SandboxError> {
    sandbox::limit(begin.max_memory)?;
    match &begin.sandbox {
        Some(grants) => sandbox::shut_in(grants),
        None => Ok(()),
    }
}

/// Ends the process when the host hangs up.
fn watch_host(socket: BorrowedFd<'static>) -> io::Result<()> {
    let watch = move || loop {
        match link::wait_for(&[(socket, PollFlags::empty())], None) {
            Ok(Some([false]) | None) => {}
            Ok(Some([true])) | Err(_) => leave(),
        }
    };
    // A megabyte is more than it needs, and counts as address space.
    std::thread::Builder::new().name("watchdog".to_owned()).stack_size(256 << 10).spawn(watch)?;
    Ok(())
}

/// An object at work.
struct Served {
    engine: Engine,
    context: &'static Context,
    upward: &'static Upward,
}

impl Served {
    /// Follows orders until there are no more; then the object is dropped.
    fn orders(mut self, inbox: &mut Inbox) {
        while let Ok(Some(message)) = inbox.next(self.upward.socket()) {
            let Ok(order) = link::decode(message) else { return };
            if self.follow(order).is_err() {
                return;
            }
        }
    }

    fn follow(&mut self, order: Order<'_>) -> io::Result<()> {
        match order {
            Order::Collect { processes, within, system, room } => {
                self.collect(processes, Instant::now() + within, system, room)
            }
            Order::Calculate { calibration, current } => {
                let map = |values: Vec<(&str, f64)>| -> Metrics {
                    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                };
                let call = self.engine.calculate(&map(calibration), &map(current));
                let spent = Spent { wall: call.wall, cpu: call.cpu };
                let answer = call.result.map_err(WireFault::from);
                let lost_records = self.context.renew_allowance();
                self.upward.report(&Report::Calculated { spent, answer, lost_records })
            }
            Order::Snapshot => {
                let call = self.engine.snapshot();
                let spent = Spent { wall: call.wall, cpu: call.cpu };
                let answer = call.result.map_err(WireFault::from);
                self.upward.report(&Report::Snapshot { spent, answer })
            }
            Order::Begin(_) | Order::Answer(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn collect(
        &mut self,
        processes: Vec<Process<'_>>,
        end: Instant,
        system: bool,
        room: Room,
    ) -> io::Result<()> {
        let facts: Vec<_> =
            processes.into_iter().enumerate().map(|(place, process)| process.facts(place)).collect();
        let (none, mut ledger) = (Metrics::new(), Ledger { dropped: Dropped::default(), room });
        let mut gathered = Gathered::new(self.upward);
        let mut dead = false;
        let asked = self.engine.processes(facts.iter(), (&none, &mut ledger), end, |facts, call| {
            dead = matches!(&call.result, Err(fault) if is_final(fault));
            // The place fits: there are no more than in a batch.
            gathered.add(facts.attempt.0 as u32, call).is_ok() && !dead
        });
        if system && !dead {
            gathered.add(SYSTEM, self.engine.system(&none, &mut ledger))?;
        }
        gathered.flush()?;
        let (dropped, lost_records) = (wire_dropped(&ledger.dropped), self.context.renew_allowance());
        self.upward.report(&Report::Done { asked: asked as u32, dropped, lost_records })
    }
}

/// Answers on their way.
struct Gathered {
    upward: &'static Upward,
    calls: Vec<(u32, Call<Metrics>)>,
    values: usize,
}

impl Gathered {
    fn new(upward: &'static Upward) -> Self {
        Self { upward, calls: Vec::new(), values: 0 }
    }

    fn add(&mut self, place: u32, call: Call<Metrics>) -> io::Result<()> {
        self.values += call.result.as_ref().map_or(1, Metrics::len);
        self.calls.push((place, call));
        if self.values >= GATHERED { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let measured = self.calls.iter().map(|(place, call)| Measured {
            place: *place,
            spent: Spent { wall: call.wall, cpu: call.cpu },
            answer: call.result.as_ref().map(values).map_err(|fault| fault.clone().into()),
        });
        let sent = self.upward.report(&Report::Measured(measured.collect()));
        self.calls.clear();
        self.values = 0;
        sent
    }
}
