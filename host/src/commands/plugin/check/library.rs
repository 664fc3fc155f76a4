//! The file: whole, described, built rightly, trusted, and whether it loads.

use std::path::Path;
use std::sync::Arc;

use orchestrator_plugin_host::{
    API_VERSION, Descriptor, FileFault, PluginFile, PluginKind, Probe, Trust, VerifiedFile,
};

use super::report::Findings;

/// Every published minor version of contract 1, with what it brought.
const MINORS: [(u64, &str); 2] = [
    (0, "all of the contract's first version"),
    (1, "state across instances, and facts of one process on demand"),
];

/// Looks at the file without running anything of it; whether it can go on.
pub(super) fn check(path: &Path, findings: &mut Findings) -> Option<PluginFile> {
    let file = match PluginFile::inspect(path) {
        Ok(file) => file,
        Err(problem) => {
            let check = if matches!(problem.fault, FileFault::Elf(_)) { "elf" } else { "descriptor" };
            findings.fail(check, problem.to_string());
            return None;
        }
    };
    findings.pass("elf", format!("all headers, segments and sections lie within its {} bytes", file.size));
    descriptor(&file.descriptor, findings);
    panics(&file, findings);
    contract(&file, findings)?;
    ownership(path, findings)?;
    Some(file)
}

fn descriptor(about: &Descriptor, findings: &mut Findings) {
    let classes: Vec<&str> = about.classes.iter().map(|class| class.class.as_str()).collect();
    let twice = classes.iter().enumerate().find(|(index, class)| classes[..*index].contains(class));
    let bare = about.classes.iter().find(|class| class.about.is_empty());
    let unknown = about.classes.iter().find(|class| class.kind == PluginKind::Unknown);
    if classes.is_empty() {
        findings.fail("descriptor", "it exports no class; name one in `export_plugin!`");
    } else if let Some((_, class)) = twice {
        findings.fail("descriptor", format!("it exports class `{class}` twice; give each a name of its own"));
    } else if let Some(class) = unknown {
        findings
            .warn("descriptor", format!("class `{}` is of a kind that this host does not know", class.class));
    } else if let Some(class) = bare {
        findings
            .warn("descriptor", format!("class `{}` does not say what it does; add `about:`", class.class));
    } else {
        let list = classes.join(", ");
        findings.pass("descriptor", format!("{} {} exports {list}", about.name, about.version));
    }
}

fn panics(file: &PluginFile, findings: &mut Findings) {
    match file.check_compatible() {
        Err(problem) if matches!(problem.fault, FileFault::PanicAbort) => findings.warn(
            "panic",
            "it is built with `panic = \"abort\"`, so that it runs in a process of its own only; build it with `panic = \"unwind\"`",
        ),
        _ => findings.pass("panic", "panics unwind and are caught at the boundary"),
    }
}

/// Which published hosts take it, and what it does without on them.
fn contract(file: &PluginFile, findings: &mut Findings) -> Option<()> {
    if let Err(problem) = file.check_version() {
        findings.fail("contract", problem.fault.to_string());
        return None;
    }
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u64>().ok());
    let built = minor(&file.descriptor.api).unwrap_or_default();
    let newest = minor(API_VERSION).unwrap_or_default();
    let hosts: Vec<String> = MINORS.iter().map(|(minor, _)| format!("1.{minor}")).collect();
    let missing = MINORS.iter().filter(|(minor, _)| *minor <= built && *minor > 0);
    let mut sentence =
        format!("built on contract {}; hosts of {} take it", file.descriptor.api, hosts.join(" and "));
    for (minor, what) in missing {
        sentence.push_str(&format!("; on hosts before 1.{minor} it does without {what}"));
    }
    if built > newest {
        let words = format!("{sentence}; this host speaks {API_VERSION} and cannot try what is newer");
        findings.warn("contract", words);
    } else {
        findings.pass("contract", sentence);
    }
    Some(())
}

fn ownership(path: &Path, findings: &mut Findings) -> Option<()> {
    match VerifiedFile::open(path, &Arc::new(Trust::default())) {
        Ok(verified) => {
            let signer = verified.file().signer;
            findings.pass("ownership", format!("nobody else may write it; signer: {signer}"));
            Some(())
        }
        Err(problem) => {
            findings.fail("ownership", problem.to_string());
            None
        }
    }
}

/// Loads it in a process of its own.
pub(super) fn trial(path: &Path, findings: &mut Findings) -> bool {
    let tried = || {
        let verified =
            VerifiedFile::open(path, &Arc::new(Trust::default())).map_err(|problem| problem.to_string())?;
        // A library that aborts on panics is tried out as an instance only.
        if verified.file().check_compatible().is_err() {
            return Ok(());
        }
        let probe = Probe::this_program().map_err(|error| error.to_string())?;
        verified.try_out(&probe).map_err(|problem| problem.to_string())
    };
    match tried() {
        Ok(()) => findings.pass("load", "it loads in a process of its own"),
        Err(sentence) => {
            findings.fail("load", sentence);
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_published_minor_is_the_hosts_own() {
        let newest = MINORS.iter().map(|(minor, _)| *minor).max().unwrap();
        assert!(API_VERSION.starts_with(&format!("1.{newest}.")), "{API_VERSION}: add what it brought");
    }
}
