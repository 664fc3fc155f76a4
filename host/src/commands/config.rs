//! `config show`: the configuration in force, and where each value comes from.

use orchestrator_core::config::{Leaf, Origin};
use serde_json::{Value, json};

use crate::cli::ShowArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// Prints it as YAML; with `--origin` (or `--changed`) as one line a value.
pub(super) fn show(args: &ShowArgs, session: &Session) -> Result<Exit, Failure> {
    let loaded = session.load(&args.selection)?;
    let changed = |leaf: &&Leaf| !args.changed || leaf.origin != Origin::Default;
    let leaves: Vec<&Leaf> = loaded.leaves.iter().filter(changed).collect();
    if session.json() {
        let values: Vec<Value> = leaves.iter().map(|leaf| leaf_json(leaf)).collect();
        session.print_json(&json!({ "config": loaded.config, "files": loaded.files, "values": values }))?;
    } else if args.origin || args.changed {
        session.print(&table(&leaves, args.origin))?;
    } else {
        let text = serde_yaml::to_string(&loaded.config)
            .map_err(|error| Failure::Stdout(std::io::Error::other(error)))?;
        session.print(&text)?;
    }
    Ok(Exit::Success)
}

fn leaf_json(leaf: &Leaf) -> Value {
    json!({ "key": leaf.path, "value": leaf.value, "origin": leaf.origin.to_string() })
}

fn table(leaves: &[&Leaf], origin: bool) -> String {
    let left: Vec<String> = leaves.iter().map(|leaf| format!("{}: {}", leaf.path, leaf.value)).collect();
    let width = left.iter().map(|text| text.chars().count()).max().unwrap_or(0).min(60);
    let row = |(text, leaf): (&String, &&Leaf)| match origin {
        true => format!("{text:<width$}  # {}\n", leaf.origin),
        false => format!("{text}\n"),
    };
    left.iter().zip(leaves).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_stands_beside_its_origin() {
        let leaves = [
            Leaf { path: "a.b".into(), value: "1".into(), origin: Origin::Default },
            Leaf { path: "c".into(), value: "\"x\"".into(), origin: Origin::Flag { flag: "--input".into() } },
        ];
        let leaves: Vec<&Leaf> = leaves.iter().collect();
        assert_eq!(table(&leaves, true), "a.b: 1  # default\nc: \"x\"  # flag --input\n");
        assert_eq!(table(&leaves, false), "a.b: 1\nc: \"x\"\n");
    }
}
