//! What the machine itself allows: a pipe, a directory listing, a launch.

use std::process::Command;
use std::time::Instant;

use super::launch::bare_loop;
use super::measure::median;
use super::peers::Work;
use super::report::Report;
use super::{Stage, workloads};
use crate::error::Failure;
use crate::shell;

/// Bare loops: the program, the way (`c/loop.c`), and what that is.
const LOOPS: [(&str, &str, &str); 4] = [
    ("t0", "vfork", "waiting for each execve"),
    ("t0", "eager", "not waiting for it"),
    ("t0", "pinned", "not waiting, a thread for each of two cores"),
    ("/bin/true", "vfork", "waiting for each execve"),
];

/// Measures the raw limits.
///
/// # Errors
/// A small program cannot be built or fails.
pub(super) fn measure(stage: &Stage) -> Result<Report, Failure> {
    let rounds = if stage.quick { 1 } else { 5 };
    let count = if stage.quick { 1_000 } else { 200_000 };
    let directory = workloads::files(&stage.folder, count)?;
    let list = workloads::program(&stage.folder, "list")?;
    let launches = if stage.quick { 400 } else { 5_000 };
    let (mut pipe, mut listing) = (Vec::new(), Vec::new());
    let mut births = LOOPS.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        pipe.push(gigabytes_a_second(if stage.quick { 64 } else { 4096 })?);
        let said = shell::capture(Command::new(&list).arg(&directory))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        listing.extend(said.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok()));
        for ((program, way, _), (rates, cpu)) in LOOPS.into_iter().zip(&mut births) {
            let path =
                if program == "t0" { workloads::program(&stage.folder, program)? } else { program.into() };
            let (arguments, directory) = (Vec::new(), directory.clone());
            let work = Work { program: path, arguments, directory, count: launches, jobs: 2 };
            let (rate, own) = bare_loop(stage, &work, way)?;
            rates.push(rate);
            cpu.push(own);
        }
    }
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let loops = LOOPS.into_iter().zip(births).map(|((program, _, words), (rates, cpu))| {
        let what = format!("bare clone3 loop, {program}, 2 at a time, {words}");
        row(&what, format!("{:.0} /s, {:.0} µs of own CPU", median(rates), median(cpu)))
    });
    let mut rows: Vec<Vec<String>> = loops.collect();
    rows.extend([
        row("zeros through a pipe into cat", format!("{:.1} GB/s", median(pipe))),
        row(&format!("getdents64 over {count} files"), format!("{:.1} ms", median(listing))),
    ]);
    Ok(Report {
        name: "limits",
        about: format!("The machine's own limits, medians of {rounds} rounds in the same run."),
        columns: ["what", "limit"].map(str::to_owned).to_vec(),
        rows,
    })
}

fn gigabytes_a_second(megabytes: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    let line = format!("head -c {megabytes}M /dev/zero | cat > /dev/null");
    shell::quietly(Command::new("sh").args(["-c", &line]))?;
    Ok(megabytes as f64 * 1_048_576.0 / 1e9 / start.elapsed().as_secs_f64())
}
