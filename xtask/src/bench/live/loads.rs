//! Real programs over generated files, each short of something else.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::Stage;
use crate::bench::workloads::fresh;
use crate::error::Failure;
use crate::shell;

/// Bytes.
const MB: u64 = 1_000_000;

/// One piece of work: a script that reads the file it is given and writes its result to standard output.
#[derive(Debug)]
pub(super) struct Load {
    /// As the table calls it.
    pub(super) name: &'static str,
    /// The script.
    pub(super) script: PathBuf,
    /// What it works on.
    pub(super) directory: PathBuf,
    /// How many at once fixed numbers try.
    pub(super) jobs: &'static [usize],
    /// Memory of the group, bytes.
    pub(super) memory: u64,
    /// What one process needs at most, as a user of `--memfree` would say it.
    pub(super) memory_each: u64,
}

/// Makes a load, if this machine has the programs for it.
pub(super) type Make = fn(&Stage) -> Result<Option<Load>, Failure>;

/// Every load: its name on the command line, and what makes it.
pub(super) const LOADS: [(&str, Make); 6] =
    [("xz", xz), ("sleep", sleeper), ("disk", disk), ("sort", sort), ("images", images), ("phases", phases)];

/// Whether the first word that a program says of itself is expected.
fn has(program: &str, argument: &str, word: &str, package: &str) -> bool {
    let output = Command::new(program).arg(argument).output();
    let there =
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).to_lowercase().contains(word));
    if !there {
        println!("{program} is not here and its work is left out (apt-get install {package})");
    }
    there
}

fn script(stage: &Stage, name: &'static str, text: &str) -> Result<PathBuf, Failure> {
    let path = stage.folder.join(format!("{name}.sh"));
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).map_err(|error| Failure::file(&path, error))?;
    shell::quietly(Command::new("chmod").arg("+x").arg(&path))?;
    Ok(path)
}

fn inputs(stage: &Stage, name: &str) -> Result<PathBuf, Failure> {
    let directory = stage.folder.join(format!("in-{name}"));
    fresh(&directory)?;
    Ok(directory)
}

/// `count` sizes from `least` to `most`, evenly spread on a logarithmic scale, in an order that no size governs.
fn spread(count: u64, least: u64, most: u64) -> Vec<u64> {
    let ratio = most as f64 / least as f64;
    let at = |place: u64| least as f64 * ratio.powf(place as f64 / (count - 1) as f64);
    (0..count).map(|number| at(number * 7 % count) as u64).collect()
}

/// Memory and time grow with the file.
fn xz(stage: &Stage) -> Result<Option<Load>, Failure> {
    if !has("xz", "--version", "xz", "xz-utils") {
        return Ok(None);
    }
    let directory = inputs(stage, "xz")?;
    let most = if stage.quick { 12 * MB } else { 40 * MB };
    for (number, size) in spread(13, MB, most).into_iter().enumerate() {
        sparse_image(&directory.join(format!("f{number:02}.img")), size)?;
    }
    Ok(Some(Load {
        name: "xz -9e, images of 1 to 40 MB",
        script: script(stage, "xz", "exec xz -9e -T1 -c -- \"$1\"")?,
        directory,
        jobs: &[1, 2, 4, 8],
        memory: if stage.quick { 256 << 20 } else { 640 << 20 },
        memory_each: 400 * MB,
    }))
}

/// Small files that only need the CPU, then large ones that need memory.
pub(super) fn phases(stage: &Stage) -> Result<Option<Load>, Failure> {
    if !has("xz", "--version", "xz", "xz-utils") {
        return Ok(None);
    }
    let directory = inputs(stage, "phases")?;
    let (small, large, size) = if stage.quick { (12, 4, 10 * MB) } else { (40, 5, 36 * MB) };
    for number in 0..small {
        words(&directory.join(format!("a{number:02}.txt")), MB / 8)?;
    }
    for number in 0..large {
        sparse_image(&directory.join(format!("b{number:02}.img")), size + MB * (number % 3))?;
    }
    Ok(Some(Load {
        name: "two phases: xz -9e of 125 kB texts, then of 36 MB images",
        script: script(stage, "phases", "exec xz -9e -T1 -c -- \"$1\"")?,
        directory,
        jobs: &[1, 2, 3, 8],
        memory: if stage.quick { 320 << 20 } else { 840 << 20 },
        memory_each: 360 * MB,
    }))
}

/// Waits for somebody else.
fn sleeper(stage: &Stage) -> Result<Option<Load>, Failure> {
    let directory = inputs(stage, "sleep")?;
    for number in 0..if stage.quick { 40 } else { 320 } {
        words(&directory.join(format!("f{number:03}")), 1_000)?;
    }
    Ok(Some(Load {
        name: "sleep 0.5",
        script: script(stage, "sleep", "exec sleep 0.5")?,
        directory,
        jobs: &[8, 16, 32, 64],
        memory: 512 << 20,
        memory_each: 10 * MB,
    }))
}

/// Reads past the page cache.
fn disk(stage: &Stage) -> Result<Option<Load>, Failure> {
    let directory = inputs(stage, "disk")?;
    let (count, size, times) = if stage.quick { (6, 16 * MB, 2) } else { (24, 64 * MB, 4) };
    for number in 0..count {
        words(&directory.join(format!("f{number:02}")), size)?;
    }
    let text = format!(
        "for turn in $(seq {times}); do dd if=\"$1\" of=/dev/null bs=64k iflag=direct status=none || exit; done"
    );
    Ok(Some(Load {
        name: "dd, direct reads of 64 kB",
        script: script(stage, "disk", &text)?,
        directory,
        jobs: &[1, 2, 4, 8, 16],
        memory: 512 << 20,
        memory_each: 10 * MB,
    }))
}

/// Memory within bounds, page cache beyond them.
fn sort(stage: &Stage) -> Result<Option<Load>, Failure> {
    let directory = inputs(stage, "sort")?;
    let (count, size) = if stage.quick { (4, 4 * MB) } else { (14, 24 * MB) };
    for number in 0..count {
        words(&directory.join(format!("f{number:02}.txt")), size)?;
    }
    Ok(Some(Load {
        name: "sort -S 64M of 24 MB",
        script: script(stage, "sort", "LC_ALL=C exec sort -S 64M --parallel=1 -- \"$1\"")?,
        directory,
        jobs: &[1, 2, 3, 4, 8],
        memory: 448 << 20,
        memory_each: 70 * MB,
    }))
}

/// Computes.
fn images(stage: &Stage) -> Result<Option<Load>, Failure> {
    // Another program may go by that name: it has to say whose it is.
    let Some(convert) = ["/usr/bin/convert", "convert"]
        .into_iter()
        .find(|program| has(program, "-version", "imagemagick", "imagemagick"))
    else {
        return Ok(None);
    };
    let directory = inputs(stage, "images")?;
    let first = directory.join("f00.ppm");
    let size = if stage.quick { "500x500" } else { "1600x1600" };
    let mut make = Command::new(convert);
    make.args(["-size", size, "plasma:", "-depth", "8"]).arg(&first);
    shell::quietly(&mut make)?;
    for number in 1..if stage.quick { 6 } else { 16 } {
        let other = directory.join(format!("f{number:02}.ppm"));
        fs::copy(&first, &other).map_err(|error| Failure::file(&other, error))?;
    }
    let text = format!("exec {convert} -limit thread 1 \"$1\" -resize 50% -blur 0x3 png:-");
    Ok(Some(Load {
        name: "ImageMagick: shrink and blur",
        script: script(stage, "images", &text)?,
        directory,
        jobs: &[1, 2, 3, 4],
        memory: 512 << 20,
        memory_each: 60 * MB,
    }))
}

/// Letters that no two runs differ in (xorshift, Marsaglia 2003).
struct Letters(u64);

impl Letters {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Lines of five words.
    fn block(&mut self, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes + 64);
        while out.len() < bytes {
            for place in 0..5 {
                let mut word = self.next();
                for _ in 0..2 + word % 8 {
                    out.push(b'a' + (word % 26) as u8);
                    word /= 26;
                }
                out.push(if place == 4 { b'\n' } else { b' ' });
            }
        }
        out.truncate(bytes);
        out
    }
}

fn written(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let file = File::create(path).map_err(|error| Failure::file(path, error))?;
    let mut file = BufWriter::new(file);
    fill(&mut file).and_then(|()| file.flush()).map_err(|error| Failure::file(path, error))
}

fn words(path: &Path, size: u64) -> Result<(), Failure> {
    let mut letters = Letters(size | 1);
    let block = letters.block(MB.min(size) as usize);
    written(path, |file| {
        for _ in 0..size / block.len() as u64 {
            file.write_all(&block)?;
        }
        Ok(())
    })
}

/// An eighth of text, the rest empty: like the image of a disk.
fn sparse_image(path: &Path, size: u64) -> Result<(), Failure> {
    const PIECE: usize = 16 << 10;
    let (mut letters, empty) = (Letters(size | 1), vec![0; 7 * PIECE]);
    written(path, |file| {
        for _ in 0..size / (8 * PIECE) as u64 {
            file.write_all(&letters.block(PIECE))?;
            file.write_all(&empty)?;
        }
        Ok(())
    })
}
