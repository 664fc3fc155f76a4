//! Which processes are new, and whose.
//!
//! Membership does not change once it is known: a process stays with its tree when its parent dies. So only processes
//! born since the last look need to be read for their kinship. The kernel's pid cursor (`/proc/loadavg`, last field) says
//! which numbers were given out since: where it has not moved there are none, where it has moved a little they are asked
//! for by number, and only else /proc is listed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::member::Member;
use crate::stat::{Stat, parse_stat};
use crate::text::reread;

/// Numbers given out since the last look are asked for one by one when they are no more than this, or than there are
/// processes: a listing of /proc costs more.
const ASK_AT_LEAST: usize = 64;
/// Strangers are looked at again so often: the number of one that died may have been given to a descendant within a single
/// interval.
const DOUBT_EVERY: Duration = Duration::from_secs(60);

/// Knows the machine's processes by number: watched ones and strangers.
#[derive(Debug)]
pub(crate) struct Discovery {
    loadavg: Option<File>,
    cursor: Option<u32>,
    /// With their start times in clock ticks.
    strangers: HashMap<u32, u64>,
    doubt_at: Instant,
    own_pid: u32,
}

/// A process whose tree is not known yet.
struct Newcomer {
    pid: u32,
    stat: Stat,
}

/// How orphans of a tree are known: the main process's entries of this kind in their environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Vec<Vec<u8>>);

impl Marks {
    /// Reads the marks that the main process was started with.
    pub(crate) fn of(main: u32) -> Self {
        let Some(environment) = environment(main) else { return Self::default() };
        let mark = |entry: &&[u8]| {
            entry.starts_with(b"ORCHESTRATOR_STATE_ID=") || entry.starts_with(b"ORCHESTRATOR_ATTEMPT_ID=")
        };
        let marks: Vec<Vec<u8>> =
            environment.split(|&byte| byte == 0).filter(mark).map(<[u8]>::to_vec).collect();
        let named = marks.iter().any(|mark| mark.starts_with(b"ORCHESTRATOR_ATTEMPT_ID="));
        if named { Self(marks) } else { Self::default() }
    }

    fn are_in(&self, environment: &[u8]) -> bool {
        let has = |mark: &Vec<u8>| environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_slice());
        !self.0.is_empty() && self.0.iter().all(has)
    }
}

fn environment(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

impl Discovery {
    pub(crate) fn new() -> Self {
        Self {
            loadavg: File::open("/proc/loadavg").ok(),
            cursor: None,
            strangers: HashMap::new(),
            doubt_at: Instant::now() + DOUBT_EVERY,
            own_pid: std::process::id(),
        }
    }

    /// A tree is watched from now on whose main process started then: its processes may be among the strangers.
    pub(crate) fn doubt_since(&mut self, start_ticks: u64) {
        self.cursor = None;
        self.strangers.retain(|_, started| *started < start_ticks);
    }

    /// Adds new processes of the trees to `members`; `mains` are the trees' main processes with their marks.
    pub(crate) fn look(
        &mut self,
        members: &mut BTreeMap<u32, Member>,
        mains: &HashMap<u32, Marks>,
        buffer: &mut [u8],
    ) {
        let now = Instant::now();
        if now >= self.doubt_at {
            self.doubt_at = now + DOUBT_EVERY;
            self.doubt_since(0);
        }
        let cursor = self.loadavg.as_ref().and_then(|file| last_pid(file, buffer));
        if cursor.is_some() && cursor == self.cursor {
            return;
        }
        let mut newcomers = match (self.cursor, cursor) {
            (Some(before), Some(now)) if before < now && self.are_few(now - before, members) => {
                self.ask_for(before + 1..=now, members, buffer)
            }
            _ => self.newcomers(members, buffer),
        };
        self.cursor = cursor;
        // Parents first; a parent may be as new as its child, and numbers go round.
        loop {
            let before = newcomers.len();
            newcomers.retain(|newcomer| match self.tree_of(newcomer, members, mains) {
                Some(main) => {
                    members.insert(newcomer.pid, Member::new(newcomer.pid, main, newcomer.stat));
                    false
                }
                None => true,
            });
            if newcomers.len() == before {
                break;
            }
        }
        self.strangers.extend(newcomers.iter().map(|newcomer| (newcomer.pid, newcomer.stat.start_ticks)));
    }

    fn are_few(&self, given: u32, members: &BTreeMap<u32, Member>) -> bool {
        given as usize <= ASK_AT_LEAST.max(members.len() + self.strangers.len())
    }

    /// Reads what lives under these numbers, threads excluded.
    fn ask_for(
        &self,
        numbers: std::ops::RangeInclusive<u32>,
        members: &BTreeMap<u32, Member>,
        buffer: &mut [u8],
    ) -> Vec<Newcomer> {
        let unknown = numbers.filter(|pid| !members.contains_key(pid));
        let found = unknown.filter_map(|pid| Some(Newcomer { pid, stat: read_stat(pid, buffer)? }));
        found.filter(|newcomer| is_process(newcomer.pid)).collect()
    }

    /// Lists /proc and reads those never seen. Strangers that are gone are forgotten.
    fn newcomers(&mut self, members: &BTreeMap<u32, Member>, buffer: &mut [u8]) -> Vec<Newcomer> {
        let Ok(directory) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut newcomers = Vec::new();
        let mut still = HashMap::with_capacity(self.strangers.len());
        for pid in pids {
            if let Some(&started) = self.strangers.get(&pid) {
                still.insert(pid, started);
            } else if !members.contains_key(&pid)
                && let Some(stat) = read_stat(pid, buffer)
            {
                newcomers.push(Newcomer { pid, stat });
            }
        }
        self.strangers = still;
        newcomers
    }

    /// The main process of the tree that it belongs to: by parent, by group or session, or as an orphan that came to
    /// this host and bears the marks.
    fn tree_of(
        &self,
        newcomer: &Newcomer,
        members: &BTreeMap<u32, Member>,
        mains: &HashMap<u32, Marks>,
    ) -> Option<u32> {
        let stat = &newcomer.stat;
        if let Some(parent) = members.get(&stat.ppid) {
            return Some(parent.main);
        }
        if let Some(&leader) = [stat.pgid, stat.sid].iter().find(|number| mains.contains_key(number)) {
            return Some(leader);
        }
        if stat.ppid != self.own_pid || stat.is_dead() {
            return None;
        }
        let environment = environment(newcomer.pid)?;
        mains.iter().find(|(_, marks)| marks.are_in(&environment)).map(|(&main, _)| main)
    }
}

/// Whether the number is a process's own, not one of its threads': these have entries in /proc, too, but no pidfd.
fn is_process(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| pidfd_open(pid, PidfdFlags::empty()).is_ok())
}

/// Reads one process; `None` when it is gone.
pub(crate) fn read_stat(pid: u32, buffer: &mut [u8]) -> Option<Stat> {
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(reread(&file, buffer).ok()?)
}

/// The last number that was given to a process or thread.
fn last_pid(loadavg: &File, buffer: &mut [u8]) -> Option<u32> {
    let text = std::str::from_utf8(reread(loadavg, buffer).ok()?).ok()?;
    text.split_ascii_whitespace().next_back()?.parse().ok()
}
