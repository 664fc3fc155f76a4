//! Facts of one process that are read only when a plugin asks.
//!
//! Only processes of the round under way are looked into: the main processes, known by number and start time, and what
//! was in their trees. A process is held by a descriptor of its directory in /proc from the first question on, so that
//! all answers of a round are about the same process even where its number is given away again.
//!
//! Open files of a tree in which nobody has run since they were counted are not counted again: the host hands out the same
//! list of the tree's numbers (`ProcessFacts::tree`) as long as that is so.

use orchestrator_plugin_api::abi::{FactId, TextId};
use orchestrator_ports::{PluginRound, ProcessFacts};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, readlinkat, statat};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Processes held by descriptors at a time, at most: who asks mostly does so process by process.
const HELD: usize = 64;
/// Counts of open files that are remembered, whether or not their processes are still there; more of them only where there
/// are more processes.
const COUNTED_AT_LEAST: usize = 1024;
/// Longest text that is handed out, in bytes.
const TEXT_BYTES: u64 = 1 << 20;

/// What a plugin wants to know about a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// A [`FactId`].
    Number(u32),
    /// A [`TextId`].
    Text(u32),
    /// The value of a variable that the process was started with.
    Environment(String),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fact {
    Number(f64),
    Text(Vec<u8>),
}

/// Which variables of a process's environment are handed out.
#[derive(Clone, Debug)]
pub(crate) enum Variables {
    /// All: who asks could read them without us.
    All,
    /// These.
    Named(Vec<String>),
}

/// Answers questions about the processes of the round under way.
pub(crate) struct Desk {
    variables: Variables,
    round: Option<Arc<PluginRound>>,
    /// Places in the round, by number of any process in the tree; made with the first question.
    places: HashMap<u32, usize>,
    /// Processes that were asked about in this round; nothing where one may not be, or is gone.
    known: HashMap<u32, Option<Subject>>,
    /// Those of them that are not held any more, each with its start time.
    let_go: HashMap<u32, Option<u64>>,
    /// Open files, as counted in this or an earlier round, each with the list of the tree that it belonged to.
    counted: HashMap<u32, (Arc<[u32]>, f64)>,
}

struct Subject {
    directory: OwnedFd,
    /// In clock ticks since boot.
    started: u64,
    texts: HashMap<&'static str, Option<Vec<u8>>>,
}

impl Desk {
    pub(crate) fn new(variables: Variables) -> Self {
        let (places, known, let_go, counted) = Default::default();
        Self { variables, round: None, places, known, let_go, counted }
    }

    /// Begins to answer questions about the processes of this round.
    pub(crate) fn open(&mut self, round: &Arc<PluginRound>) {
        self.known.clear();
        self.places.clear();
        self.let_go.clear();
        if self.counted.len() > COUNTED_AT_LEAST.max(2 * round.processes.len()) {
            let trees: HashSet<_> = round.processes.iter().map(|facts| Arc::as_ptr(&facts.tree)).collect();
            self.counted.retain(|_, (tree, _)| trees.contains(&Arc::as_ptr(tree)));
        }
        self.round = Some(Arc::clone(round));
    }

    /// Answers nothing from now on.
    pub(crate) fn close(&mut self) {
        self.known.clear();
        self.places.clear();
        self.let_go.clear();
        self.round = None;
    }

    /// The answer, where there is one.
    pub(crate) fn answer(&mut self, pid: u32, question: &Question) -> Option<Fact> {
        let round = self.round.as_ref()?;
        if self.places.is_empty() {
            for (place, facts) in round.processes.iter().enumerate() {
                let pids = facts.tree.iter().chain([&facts.pid]);
                self.places.extend(pids.map(|pid| (*pid, place)));
            }
        }
        let owner = &round.processes[*self.places.get(&pid)?];
        let counts = *question == Question::Number(FactId::OPEN_FILES.0);
        if counts
            && let Some((_, files)) =
                self.counted.get(&pid).filter(|(tree, _)| Arc::ptr_eq(tree, &owner.tree))
        {
            return Some(Fact::Number(*files));
        }
        if self.known.len() >= HELD && !self.known.contains_key(&pid) {
            let let_go = self.known.drain().map(|(pid, subject)| (pid, subject.map(|one| one.started)));
            self.let_go.extend(let_go);
        }
        let let_go = &self.let_go;
        let same =
            |subject: &Subject| let_go.get(&pid).is_none_or(|started| *started == Some(subject.started));
        let subject = self.known.entry(pid).or_insert_with(|| Subject::find(pid, owner).filter(same));
        let subject = subject.as_mut()?;
        match question {
            Question::Number(id) => {
                let number = subject.number(FactId(*id))?;
                if counts {
                    self.counted.insert(pid, (Arc::clone(&owner.tree), number));
                }
                Some(Fact::Number(number))
            }
            Question::Text(id) => subject.text(TextId(*id)).map(Fact::Text),
            Question::Environment(name) => {
                let allowed = match &self.variables {
                    Variables::All => true,
                    Variables::Named(names) => names.contains(name),
                };
                if allowed { subject.variable(name).map(Fact::Text) } else { None }
            }
        }
    }
}

impl Subject {
    /// Holds a process that belongs to the round.
    fn find(pid: u32, owner: &ProcessFacts) -> Option<Self> {
        let subject = Self::open(pid)?;
        if pid == owner.pid {
            return (subject.started == owner.start_ticks).then_some(subject);
        }
        // The tree is only worth something as long as its root lives, and nobody is older than its ancestor.
        let root = Self::open(owner.pid)?.started;
        (root == owner.start_ticks && subject.started >= root).then_some(subject)
    }

    fn open(pid: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
        let started = Self::started(&directory)?;
        Some(Self { directory, started, texts: HashMap::new() })
    }

    fn started(directory: &OwnedFd) -> Option<u64> {
        // Field 22; the second may hold blanks and brackets.
        let stat = openat(directory, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0; 1024];
        let length = rustix::io::read(stat, &mut buffer).ok()?;
        field_of_stat(&buffer[..length], 22)
    }

    fn number(&mut self, id: FactId) -> Option<f64> {
        match id {
            FactId::IO_READ_CHARS => self.line("io", "rchar:"),
            FactId::IO_WRITE_CHARS => self.line("io", "wchar:"),
            FactId::IO_READ_CALLS => self.line("io", "syscr:"),
            FactId::IO_WRITE_CALLS => self.line("io", "syscw:"),
            FactId::IO_READ_BYTES => self.line("io", "read_bytes:"),
            FactId::IO_WRITE_BYTES => self.line("io", "write_bytes:"),
            FactId::PSS_BYTES => self.line("smaps_rollup", "Pss:"),
            FactId::SWAP_BYTES => self.line("smaps_rollup", "Swap:"),
            FactId::USS_BYTES => {
                let private = self.line("smaps_rollup", "Private_Clean:")?
                    + self.line("smaps_rollup", "Private_Dirty:")?;
                Some(private + self.line("smaps_rollup", "Private_Hugetlb:").unwrap_or(0.0))
            }
            FactId::OPEN_FILES => self.open_files(),
            FactId::OOM_SCORE => self.whole("oom_score"),
            FactId::OOM_SCORE_ADJ => self.whole("oom_score_adj"),
            FactId::NICE => field_of_stat::<i32>(self.cached("stat")?, 19).map(f64::from),
            _ => None,
        }
    }

    fn text(&mut self, id: TextId) -> Option<Vec<u8>> {
        match id {
            TextId::EXE => self.link("exe"),
            TextId::WORKING_DIRECTORY => self.link("cwd"),
            TextId::COMMAND_LINE => self.cached("cmdline").map(<[u8]>::to_vec),
            TextId::CGROUP => {
                let lines = self.cached("cgroup")?.split(|byte| *byte == b'\n');
                lines.filter_map(|line| line.strip_prefix(b"0::")).next().map(<[u8]>::to_vec)
            }
            _ => None,
        }
    }

    fn variable(&mut self, name: &str) -> Option<Vec<u8>> {
        let mut entries = self.cached("environ")?.split(|byte| *byte == 0);
        let value = |entry: &[u8]| {
            let rest = entry.strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=").map(<[u8]>::to_vec)
        };
        entries.find_map(value)
    }

    /// The number behind a label, in bytes where the file gives kB.
    fn line(&mut self, file: &'static str, label: &str) -> Option<f64> {
        let text = std::str::from_utf8(self.cached(file)?).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
        let mut words = rest.split_whitespace();
        let number: f64 = words.next()?.parse().ok()?;
        Some(if words.next() == Some("kB") { number * 1024.0 } else { number })
    }

    fn whole(&mut self, file: &'static str) -> Option<f64> {
        std::str::from_utf8(self.cached(file)?).ok()?.trim().parse().ok()
    }

    fn open_files(&self) -> Option<f64> {
        // Since 6.2 the kernel tells the count as the directory's size.
        let told = statat(&self.directory, "fd", AtFlags::empty()).ok().map(|status| status.st_size);
        if let Some(count) = told.filter(|count| *count > 0) {
            return Some(count as f64);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.directory, "fd", flags, Mode::empty()).ok()?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(directory, &mut buffer);
        let mut count = 0_u32;
        while let Some(entry) = entries.next() {
            count += u32::from(!entry.ok()?.file_name().to_bytes().starts_with(b"."));
        }
        Some(f64::from(count))
    }

    fn link(&self, name: &str) -> Option<Vec<u8>> {
        readlinkat(&self.directory, name, Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }

    fn cached(&mut self, file: &'static str) -> Option<&[u8]> {
        if !self.texts.contains_key(file) {
            let text = self.read(file).ok();
            self.texts.insert(file, text);
        }
        self.texts.get(file)?.as_deref()
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let file = openat(&self.directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = Vec::new();
        File::from(file).take(TEXT_BYTES).read_to_end(&mut text)?;
        Ok(text)
    }
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5), from the third on.
pub(crate) fn field_of_stat<T: std::str::FromStr>(stat: &[u8], number: usize) -> Option<T> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Desk, Fact, HELD, Question, Variables, field_of_stat};
    use orchestrator_core::{AttemptId, TaskId};
    use orchestrator_plugin_api::abi::{FactId, TextId};
    use orchestrator_ports::{PluginRound, ProcessFacts};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;

    fn sleeper() -> Child {
        let mut command = Command::new("/bin/sleep");
        let child = command.arg("600").env("COLOUR", "blue").stdin(Stdio::null()).spawn().unwrap();
        // Until it sleeps it loads: its arguments may not be in place yet, and its open files come and go.
        let sleeps =
            || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains("(sleep) S ");
        while !sleeps() {
            std::thread::yield_now();
        }
        child
    }

    fn started(pid: u32) -> u64 {
        field_of_stat(&std::fs::read(format!("/proc/{pid}/stat")).unwrap(), 22).unwrap()
    }

    fn round(pid: u32, start_ticks: u64, tree: Vec<u32>) -> Arc<PluginRound> {
        let process = ProcessFacts {
            attempt: AttemptId(1),
            task: TaskId(1),
            input_file: Path::new("/in").into(),
            running_for: None,
            pid,
            start_ticks,
            tree: tree.into(),
            sample: None,
        };
        Arc::new(PluginRound { processes: vec![process], ..PluginRound::default() })
    }

    #[test]
    fn only_processes_of_the_round_are_looked_into() {
        let mut child = sleeper();
        let (pid, own) = (child.id(), std::process::id());
        let files = Question::Number(FactId::OPEN_FILES.0);
        let mut desk = Desk::new(Variables::All);
        assert_eq!(desk.answer(pid, &files), None, "no round is open");
        desk.open(&round(pid, started(pid), vec![pid]));
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        assert_eq!(desk.answer(pid, &files), Some(Fact::Number(open as f64)));
        assert_eq!(desk.answer(own, &files), None, "another process");
        desk.open(&round(pid, started(pid) + 1, vec![pid]));
        assert_eq!(desk.answer(pid, &files), None, "the number was given away");
        desk.open(&round(own, started(own), vec![own, pid]));
        assert!(desk.answer(pid, &files).is_some(), "a descendant");
        desk.open(&round(pid, started(pid), vec![pid, 1]));
        assert_eq!(desk.answer(1, &files), None, "older than its ancestor");
        desk.close();
        assert_eq!(desk.answer(pid, &files), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn open_files_are_counted_again_once_somebody_has_run() {
        let mut child = sleeper();
        let (pid, files) = (child.id(), Question::Number(FactId::OPEN_FILES.0));
        let mut desk = Desk::new(Variables::All);
        let first = round(pid, started(pid), vec![pid]);
        desk.open(&first);
        let truth = desk.answer(pid, &files);
        assert!(truth.is_some());
        // What nobody counts stays as it is, wrong as it may be.
        desk.counted.get_mut(&pid).unwrap().1 = 99.0;
        desk.close();
        desk.open(&first);
        assert_eq!(desk.answer(pid, &files), Some(Fact::Number(99.0)));
        desk.open(&round(pid, started(pid), vec![pid]));
        assert_eq!(desk.answer(pid, &files), truth, "another list: somebody may have run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn counts_of_processes_that_are_gone_are_forgotten() {
        let mut desk = Desk::new(Variables::All);
        let tree: Arc<[u32]> = vec![1].into();
        let many = 10 * super::COUNTED_AT_LEAST as u32;
        desk.counted.extend((0..many).map(|pid| (pid, (Arc::clone(&tree), 1.0))));
        desk.open(&round(std::process::id(), 1, vec![std::process::id()]));
        assert!(desk.counted.is_empty());
    }

    #[test]
    fn few_descriptors_are_held_however_many_are_asked_about() {
        let mut children: Vec<Child> = (0..3 * HELD).map(|_| sleeper()).collect();
        let pids: Vec<u32> = children.iter().map(Child::id).collect();
        let mut desk = Desk::new(Variables::All);
        desk.open(&round(pids[0], started(pids[0]), pids.clone()));
        let held = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = held();
        let priority = Question::Number(FactId::NICE.0);
        for pid in &pids {
            assert!(desk.answer(*pid, &priority).is_some());
            assert!(held() <= before + HELD, "{} after {before}", held());
        }
        // Who was let go is still the same one, and who is gone stays gone.
        assert!(desk.answer(pids[1], &priority).is_some());
        desk.let_go.insert(pids[2], Some(1));
        assert_eq!(desk.answer(pids[2], &priority), None, "another process under that number");
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn texts_and_granted_variables() {
        let mut child = sleeper();
        let pid = child.id();
        let mut desk = Desk::new(Variables::Named(vec!["COLOUR".to_owned()]));
        desk.open(&round(pid, started(pid), vec![pid]));
        let text = |bytes: &[u8]| Some(Fact::Text(bytes.to_vec()));
        assert_eq!(desk.answer(pid, &Question::Text(TextId::COMMAND_LINE.0)), text(b"/bin/sleep\x00600\x00"));
        assert_eq!(desk.answer(pid, &Question::Environment("COLOUR".to_owned())), text(b"blue"));
        assert_eq!(desk.answer(pid, &Question::Environment("PATH".to_owned())), None);
        assert_eq!(desk.answer(pid, &Question::Text(9999)), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
