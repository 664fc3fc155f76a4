//! One line for each library that is about to run, written before anything of it does.

use crate::instance::InstanceSpec;
use crate::library::PluginFile;
use orchestrator_core::config::model::{Grants, Isolation};
use std::fmt::Write as _;

/// Logs under the target `plugin.audit` what is loaded, by whom it is signed, why it is trusted, and what it may do: at
/// level info, or debug where the library came with the program.
pub(crate) fn audit(file: &PluginFile, spec: &InstanceSpec) {
    let about = &file.descriptor;
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                target: "plugin.audit",
                plugin = spec.name,
                class = spec.class,
                library = %file.path.display(),
                package = format_args!("{} {}", about.name, about.version),
                sha256 = %file.sha256,
                blake3 = %file.hash.to_hex(),
                signer = %file.signer,
                trusted_by = file.ground.word(),
                isolation = spec.isolation.word(),
                grants = granted(spec),
                "plugin audit"
            )
        };
    }
    if spec.bundled { at!(debug) } else { at!(info) }
}

/// What it may do beyond its isolation: `all` outside a sandbox, else `none`, or what the configuration names.
fn granted(spec: &InstanceSpec) -> String {
    match spec.isolation {
        Isolation::InProcess | Isolation::Process => "all".to_owned(),
        Isolation::Sandbox => listed(&spec.grants),
    }
}

fn listed(grants: &Grants) -> String {
    let mut text = String::new();
    if grants.network {
        text.push_str("network ");
    }
    if grants.observer {
        text.push_str("observer ");
    }
    for path in &grants.read {
        let _ = write!(text, "read:{} ", path.display());
    }
    for name in &grants.environment {
        let _ = write!(text, "environment:{name} ");
    }
    if text.is_empty() { "none".to_owned() } else { text.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_listed_one_by_one() {
        let grants = Grants { network: true, read: vec!["/data".into()], ..Grants::default() };
        assert_eq!(listed(&grants), "network read:/data");
        assert_eq!(listed(&Grants::default()), "none");
    }
}
