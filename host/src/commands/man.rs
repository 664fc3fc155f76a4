//! `man`: manual pages, generated from the command line itself.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Prints one page, or writes all.
pub(super) fn man(args: &ManArgs, session: &Session) -> Result<Exit, Failure> {
    let mut program = Cli::command();
    program.build();
    if let Some(directory) = &args.directory {
        fs::create_dir_all(directory).map_err(Failure::file("make", directory))?;
        let written = write_pages(&program, "orchestrator", directory)?;
        session.console.line(&format!("wrote {written} pages into {}", directory.display()));
        return Ok(Exit::Success);
    }
    let mut command = &program;
    let mut name = "orchestrator".to_owned();
    for word in &args.command {
        command = command.find_subcommand(word).ok_or_else(|| Failure::NoCommand(args.command.join(" ")))?;
        name = format!("{name}-{word}");
    }
    let page = page(command, &name).map_err(Failure::Stdout)?;
    session.print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Success)
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone().display_name(name)).title(name).render(&mut page)?;
    Ok(page)
}

fn write_pages(command: &Command, name: &str, directory: &Path) -> Result<usize, Failure> {
    let file = directory.join(format!("{name}.1"));
    page(command, name).and_then(|page| fs::write(&file, page)).map_err(Failure::file("write", &file))?;
    let mut written = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        written += write_pages(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(written)
}
