//! One process of a watched tree.

use std::time::{Duration, Instant};

use crate::stat::{Budget, Io, Missing, Need, ProcFile, Stat, Turns, parse_io, parse_stat, parse_turns};

/// A process that does not run can only lose memory, and its parent: that is looked at so often,
const STAT_EVERY: Duration = Duration::from_secs(5);
/// and each time half as often as before, while nothing changes, down to this.
const STAT_AT_LEAST: Duration = Duration::from_secs(40);
/// A process of several threads whose CPU time has not moved (it is told in steps of 10 ms) may have read and written
/// all the same: that is looked at so often.
const IO_EVERY: Duration = Duration::from_secs(1);

/// What a process used so far, that must not be lost when it vanishes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counters {
    /// Clock ticks of CPU.
    pub(crate) cpu_ticks: u64,
    /// Storage traffic.
    pub(crate) io: Io,
}

impl Counters {
    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Counters) {
        self.cpu_ticks += other.cpu_ticks;
        self.io.read_ops += other.io.read_ops;
        self.io.write_ops += other.io.write_ops;
        self.io.read_bytes += other.io.read_bytes;
        self.io.write_bytes += other.io.write_bytes;
    }

    /// The larger of each: a tree's totals dip for a moment while a process is between its end and its reaping.
    pub(crate) fn never_below(&mut self, before: &Counters) {
        self.cpu_ticks = self.cpu_ticks.max(before.cpu_ticks);
        self.io.read_ops = self.io.read_ops.max(before.io.read_ops);
        self.io.write_ops = self.io.write_ops.max(before.io.write_ops);
        self.io.read_bytes = self.io.read_bytes.max(before.io.read_bytes);
        self.io.write_bytes = self.io.write_bytes.max(before.io.write_bytes);
    }

    /// CPU time at this many clock ticks a second.
    pub(crate) fn cpu_time(&self, ticks_per_second: u64) -> Duration {
        Duration::from_secs_f64(self.cpu_ticks as f64 / ticks_per_second.max(1) as f64)
    }
}

/// What a look at a process found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It has not run, and nothing else is new.
    Same,
    /// It may have run, or something is not as before, or it is the first look.
    Changed,
    /// It is gone, or its number belongs to another process by now.
    Gone,
}

/// One process of a watched tree.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its number.
    pub(crate) pid: u32,
    /// The main process of its tree.
    pub(crate) main: u32,
    /// As it was last read.
    pub(crate) stat: Stat,
    /// As it was last read.
    pub(crate) io: Io,
    /// As it was just before `stat` was last read; `None` where that says nothing of the whole process.
    turns: Option<Turns>,
    /// Whether it has not run between the last two looks.
    pub(crate) asleep: bool,
    /// When `stat` is read again though it has not run; `None` before the first look.
    again: Option<Instant>,
    /// From one such reading to the next.
    pause: Duration,
    /// When its control group is looked at again, once it sleeps.
    place_again: Instant,
    /// When `io` is read again though no CPU time was used.
    io_again: Instant,
    /// `None` where there is none: the kernel was built without, or the process went away.
    turns_file: Option<ProcFile>,
    stat_file: ProcFile,
    io_file: ProcFile,
}

impl Member {
    /// A process that was just found.
    pub(crate) fn new(pid: u32, main: u32, stat: Stat) -> Self {
        Self {
            pid,
            main,
            stat,
            io: Io::default(),
            turns: None,
            asleep: false,
            again: None,
            pause: STAT_EVERY,
            place_again: Instant::now(),
            io_again: Instant::now(),
            turns_file: Some(ProcFile::default()),
            stat_file: ProcFile::default(),
            io_file: ProcFile::default(),
        }
    }

    /// Looks at it again: in full only if it may have run since.
    pub(crate) fn refresh(&mut self, now: Instant, budget: &mut Budget, buffer: &mut [u8]) -> Look {
        // The turns are read before the rest: who runs in between shows others at the next look.
        let turns = match self.turns(budget, buffer) {
            Ok(turns) => turns,
            Err(Missing::Gone) => return Look::Gone,
            Err(Missing::Unreadable) => None,
        };
        // Who is on a processor may be there ever since, and the time of a turn is booked at its end.
        let slept = turns.is_some() && turns == self.turns && self.stat.state != b'R';
        let first = self.again.is_none();
        self.asleep = slept && !first;
        if slept && self.again.is_some_and(|again| now < again) {
            return Look::Same;
        }
        let before = (self.stat, self.io);
        self.turns = None;
        // Of a process without turns this is what says whether it is still there. Of others, many only sleep.
        let need = match turns {
            None => Need::EveryTime,
            Some(_) if first => Need::Once,
            Some(_) => Need::NowAndThen,
        };
        match self.stat_file.read((self.pid, "stat"), need, budget, buffer).map(parse_stat) {
            Ok(Some(stat)) if stat.start_ticks == self.stat.start_ticks => {
                self.stat = stat;
                self.turns = turns;
            }
            Ok(Some(_)) | Err(Missing::Gone) => return Look::Gone,
            Ok(None) | Err(Missing::Unreadable) => {}
        }
        let may_have_moved = first
            || if turns.is_some() {
                !slept
            } else {
                before.0.cpu_ticks != self.stat.cpu_ticks || now >= self.io_again
            };
        if may_have_moved
            && let Ok(text) = self.io_file.read((self.pid, "io"), Need::NowAndThen, budget, buffer)
        {
            self.io = parse_io(text);
            self.io_again = now + IO_EVERY;
        }
        let same = self.asleep && before == (self.stat, self.io);
        self.pause = if same { (self.pause * 2).min(STAT_AT_LEAST) } else { STAT_EVERY };
        self.again = Some(now + spread(self.pause, self.pid));
        if same { Look::Same } else { Look::Changed }
    }

    /// The turns of its only thread; `None` where it has more, where the kernel does not tell, or where asking would take
    /// opening the file each time.
    fn turns(&mut self, budget: &mut Budget, buffer: &mut [u8]) -> Result<Option<Turns>, Missing> {
        let Some(file) = self.turns_file.as_mut().filter(|_| self.stat.threads == 1) else { return Ok(None) };
        let kept = file.is_kept();
        if !kept && budget.is_spent() {
            return Ok(None);
        }
        match file.read((self.pid, "schedstat"), Need::EveryTime, budget, buffer) {
            Ok(text) => Ok(parse_turns(text)),
            // That it cannot be opened says nothing of the process: what is read next does.
            Err(missing) if !kept => {
                if missing == Missing::Gone {
                    self.turns_file = None;
                }
                Ok(None)
            }
            Err(missing) => Err(missing),
        }
    }

    /// What it used so far, its reaped children included.
    pub(crate) fn counters(&self) -> Counters {
        Counters { cpu_ticks: self.stat.cpu_ticks, io: self.io }
    }

    /// Whether its control group is to be looked at now: when it first sleeps, then about as often as a sleeper is read.
    pub(crate) fn is_to_be_placed(&mut self, now: Instant) -> bool {
        let due = self.asleep && self.place_again <= now;
        if due {
            self.place_again = now + spread(self.pause, self.pid);
        }
        due
    }

    /// Gives its descriptors back.
    pub(crate) fn close(&mut self, budget: &mut Budget) {
        let files = self.turns_file.iter_mut().chain([&mut self.stat_file, &mut self.io_file]);
        files.for_each(|file| file.close(budget));
    }
}

/// From three to five quarters of a time, by number: what was found at once is not read again at once.
fn spread(time: Duration, pid: u32) -> Duration {
    time * (96 + pid % 64) / 128
}

#[cfg(test)]
impl Member {
    /// As if it had run since it was looked at.
    pub(crate) fn forget(&mut self) {
        self.turns = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::read_stat;

    #[test]
    fn a_sleeper_is_read_in_full_now_and_then_only() {
        let mut child = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let (mut budget, mut buffer) = (Budget::new(16), vec![0; 2048]);
        let begun = Instant::now();
        let stat = loop {
            // Until it is what it will be, and sleeps.
            let stat = read_stat(child.id(), &mut buffer).unwrap();
            if stat.state == b'S'
                && std::fs::read(format!("/proc/{}/comm", child.id())).unwrap() == b"sleep\n"
            {
                break stat;
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        };
        let mut member = Member::new(child.id(), child.id(), stat);
        let now = Instant::now();
        assert_eq!(member.refresh(now, &mut budget, &mut buffer), Look::Changed);
        let truth = member.stat;
        // What nobody reads stays as it is, wrong as it may be.
        member.stat.virtual_bytes = 1;
        assert_eq!(member.refresh(now + Duration::from_secs(1), &mut budget, &mut buffer), Look::Same);
        assert_eq!(member.stat.virtual_bytes, 1);
        assert_eq!(member.refresh(now + STAT_EVERY * 2, &mut budget, &mut buffer), Look::Changed);
        assert_eq!(member.stat, truth);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(member.refresh(now + STAT_EVERY * 2, &mut budget, &mut buffer), Look::Gone);
        member.close(&mut budget);
    }

    /// A sleeper of one thread is read in full at every look.
    fn is_read_each_time(mut budget: Budget, turns_file: Option<ProcFile>) {
        let mut buffer = vec![0; 2048];
        let mut child = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let stat = read_stat(child.id(), &mut buffer).unwrap();
        let mut member = Member { turns_file, ..Member::new(child.id(), child.id(), stat) };
        for _ in 0..3 {
            member.stat.virtual_bytes = 1;
            assert_eq!(member.refresh(Instant::now(), &mut budget, &mut buffer), Look::Changed);
            assert!(member.stat.virtual_bytes > 1);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(member.refresh(Instant::now(), &mut budget, &mut buffer), Look::Gone);
    }

    #[test]
    fn without_descriptors_everything_is_read_each_time() {
        is_read_each_time(Budget::new(0), Some(ProcFile::default()));
    }

    #[test]
    fn where_the_kernel_counts_no_turns_everything_is_read_each_time() {
        is_read_each_time(Budget::new(16), None);
    }
}
