//! What a launch costs in instructions, the kernel's included: counted in a virtual machine on which each takes one
//! nanosecond, so that nothing else that runs here makes a difference.

use std::process::Command;

use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Instructions of a clock tick of that machine: a hundredth of a second.
const A_TICK: u64 = 10_000_000;
/// Who is counted: the script's word, and ours.
const LAUNCHERS: [(&str, &str); 4] = [
    ("orchestrator", "orchestrator: record, captured output, metrics"),
    ("loop", "bare loop: clone, epoll, wait"),
    ("xargs", "xargs -P2 -n1"),
    ("make", "make -j2"),
];

/// Counts the instructions of a launch.
///
/// # Errors
/// Something that the machine needs is not here (the script says what), or it does not work.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let (few, many) = if stage.quick { (100, 600) } else { (1_000, 6_000) };
    let mut count = Command::new(stage.root.join("tests/vm/count.sh"));
    count.arg(&stage.orchestrator);
    for name in ["t0", "loop", "own"] {
        count.arg(workloads::program(&stage.folder, name)?);
    }
    count.args([few.to_string(), many.to_string()]).arg(stage.tools.with_file_name("vm"));
    let said = String::from_utf8_lossy(&shell::capture(&mut count)?).into_owned();
    let rows = LAUNCHERS.into_iter().filter_map(|(who, words)| {
        let ([user, system], [user_few, system_few]) = (ticks(&said, who, many)?, ticks(&said, who, few)?);
        let each = |ticks: u64, fewer: u64| ticks.saturating_sub(fewer) * A_TICK / (many - few);
        let (user, system) = (each(user, user_few), each(system, system_few));
        Some([words.to_owned()].into_iter().chain([user, system, user + system].map(rounded)).collect())
    });
    let columns = ["who launches", "own instructions a task", "the kernel's for it", "both"];
    Ok(Report {
        name: "launch-instructions",
        about: format!(
            "t0, two at a time on a machine with one CPU on which each instruction takes a nanosecond (qemu -icount, Debian's \
             kernel): CPU time of the launcher, without its children, over {many} files less that over {few}. In thousands."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    })
}

/// User and system ticks of one launcher over so many files.
fn ticks(said: &str, who: &str, files: u64) -> Option<[u64; 2]> {
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("count {who} {files} ")))?;
    let mut words = line.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??])
}

fn rounded(instructions: u64) -> String {
    ((instructions + 500) / 1_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn each_count_is_found_by_its_launcher_and_its_files() {
        let said = "count loop 100 0 7\ncount loop 1000 1 70\ncount make 1000 9\n";
        assert_eq!(ticks(said, "loop", 100), Some([0, 7]));
        assert_eq!(ticks(said, "loop", 1_000), Some([1, 70]));
        assert_eq!(ticks(said, "make", 1_000), None);
        assert_eq!(ticks(said, "xargs", 1_000), None);
    }
}
