//! A command line that cannot be read, told to people or to programs.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::exit::Exit;
use crate::report::Report;

/// Prints help and version as they are, and a mistake as its reader wants it.
pub(crate) fn tell(error: &clap::Error) {
    // A closed pipe is nobody's fault.
    let _closed = if error.use_stderr() && wants_json(std::env::args_os().skip(1)) {
        writeln!(io::stderr(), "{}", report(error).json())
    } else {
        error.print()
    };
}

/// Whether the line asks for JSON, as far as a line can be understood that cannot be read as a whole.
fn wants_json(words: impl Iterator<Item = OsString>) -> bool {
    let variable = std::env::var_os("ORCHESTRATOR_FORMAT").is_some_and(|format| format == "json");
    let mut format = variable;
    let mut words = words.take_while(|word| word != "--");
    while let Some(word) = words.next() {
        if word == "--format" {
            format = words.next().is_some_and(|format| format == "json");
        } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--format=")) {
            format = value == "json";
        }
    }
    format
}

/// The first paragraph is the mistake, a `tip:` the remedy; the usage that follows is for people.
fn report(error: &clap::Error) -> Report {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (mistake, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let words = mistake.split_whitespace().collect::<Vec<_>>().join(" ");
    let tips = rest.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    let mut report = Report::error(Exit::Usage, "usage", words);
    report.help = tips.map(str::to_owned).next();
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn json(line: &str) -> bool {
        wants_json(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_format_is_read_from_a_line_that_is_wrong_elsewhere() {
        assert!(json("run --fomat x --format json"));
        assert!(json("--format=json run --oops"));
        assert!(!json("run --format json --format human"));
        assert!(!json("run -- tool --format json"));
    }

    #[test]
    fn a_mistake_is_one_sentence_and_its_tip_the_remedy() {
        let error = Cli::try_parse_from(["orchestrator", "run", "--colour"]).unwrap_err();
        let report = report(&error).json();
        let message = report["message"].as_str().unwrap();
        assert!(message.contains("'--colour'") && !message.contains('\n'), "{report}");
        assert_eq!(report["exit_code"], 2, "{report}");
        let error = Cli::try_parse_from(["orchestrator", "chek"]).unwrap_err();
        let report = super::report(&error).json();
        assert!(report["help"].as_str().unwrap().contains("check"), "{report}");
    }
}
