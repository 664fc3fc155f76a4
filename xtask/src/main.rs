//! The chores of this repository: `demo`, `test`, `lint`, `bench`, `vm`.
#![expect(clippy::print_stdout, reason = "a chore talks to the person or the CI log that started it")]

mod abi;
mod bench;
mod demo;
mod error;
mod lint;
mod shell;
mod test;
mod tools;
mod vm;
mod workspace;

use std::process::ExitCode;

use error::Failure;

const USAGE: &str = "\
usage: cargo xtask <chore>

  demo     run the main job on real files of this machine, plugins loaded from a folder
  test     build everything, run every test, then lint (what CI runs)
  bench    measure in release mode: bench [--quick] [launch | limits | sampler | calls | fleet | placement | long | queue |
           instructions | launch-instructions | live [NAME] | phases | outside | capacity | predict]
  abi      compare the plugin contract with its published versions; --record writes the record of a new one
  vm       run in a virtual machine that this one is not: vm numa
  lint     formatting, clippy, dependency edges, licences and advisories, docs
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let Some((chore, rest)) = arguments.split_first() else {
        return Err(Failure::Usage { usage: USAGE });
    };
    match chore.as_str() {
        "abi" => abi::run(rest),
        "bench" => bench::run(rest),
        "demo" => demo::run(),
        "test" => test::run(rest),
        "lint" => lint::run(),
        "vm" => vm::run(rest),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::Usage { usage: USAGE }),
    }
}
