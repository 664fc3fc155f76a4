//! `${VAR}`, `${VAR:-default}` and the escape `$${` in the values of files.
//!
//! A variable that is empty counts as unset for `:-`, as in a shell. `$` without `{` means itself. Values of
//! variables are not searched again. A value that is nothing but one variable may be a number, quoted or
//! not. In a template a literal `${HOME}` is `$${{HOME}}`: both escapes.

use std::collections::BTreeMap;

use super::diagnostic::{Code, Diagnostic};
use super::tree::{Kind, Node, Place};

/// Why a text cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not set, and no default.
    Unset { name: String },
    /// Not of the form `${NAME}` or `${NAME:-default}`.
    Malformed { found: String },
}

/// Fills in one text.
///
/// # Errors
/// All faults, in order.
pub(crate) fn interpolate(text: &str, environment: &BTreeMap<String, String>) -> Result<String, Vec<Fault>> {
    let mut out = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            faults.push(Fault::Malformed { found: rest[at..].to_owned() });
            rest = "";
            break;
        };
        let inner = &rest[at + 2..at + end];
        match value(inner, environment) {
            Ok(value) => out.push_str(&value),
            Err(fault) => faults.push(fault),
        }
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn value(inner: &str, environment: &BTreeMap<String, String>) -> Result<String, Fault> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(Fault::Malformed { found: format!("${{{inner}}}") });
    }
    match (environment.get(name), default) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Fault::Unset { name: name.to_owned() }),
    }
}

/// Fills in all values that stand in files.
pub(crate) fn interpolate_tree(
    tree: &mut Node,
    root: &str,
    environment: &BTreeMap<String, String>,
    findings: &mut Vec<Diagnostic>,
) {
    tree.visit_scalars(root, &mut |path, node| {
        let Kind::Scalar { text, plain, loose } = &mut node.kind else { return };
        if !node.place.source.is_file() || !text.contains("${") {
            return;
        }
        match interpolate(text, environment) {
            Ok(filled) => {
                // YAML wants `{max: "${N}"}` quoted, so quotes around nothing but a variable say nothing.
                *plain |= text.starts_with("${") && text.find('}') == Some(text.len() - 1);
                *loose = true;
                *text = filled;
            }
            Err(faults) => findings.extend(faults.iter().map(|fault| report(fault, path, &node.place))),
        }
    });
}

fn report(fault: &Fault, path: &str, place: &Place) -> Diagnostic {
    match fault {
        Fault::Unset { name } => {
            let message = format!("{path}: the environment variable `{name}` is not set");
            Diagnostic::error(Code::UnsetVariable, path, message)
                .help(format!("set it, or give a default: ${{{name}:-value}}"))
                .at(place.narrowed(&format!("${{{name}}}")))
        }
        Fault::Malformed { found } => Diagnostic::error(
            Code::InvalidInterpolation,
            path,
            format!("{path}: `{found}` cannot be filled in"),
        )
        .help("write ${NAME} or ${NAME:-default}, or $${ for a literal ${")
        .at(place.narrowed(found)),
    }
}
