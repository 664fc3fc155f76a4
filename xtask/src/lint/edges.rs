//! Who may know whom. The table of the architecture, held against `cargo metadata`.
//!
//! `core ← ports ← every room`; `runtime → ports, core`; `host → all`; no room imports another room;
//! the plugin API is known to the plugin host and to plugins, and plugins know nothing else.

use std::path::Path;

use crate::error::Failure;
use crate::workspace::{Dependency, Package, Workspace};

/// The part a crate of the workspace plays, told by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Core,
    PluginApi,
    Ports,
    Room,
    PluginHost,
    Host,
    Plugin,
    Tests,
    Chores,
}

/// Crates from outside that core may use: data formats and containers, nothing that touches the world.
const CORE_ALLOWS: &[&str] = &[
    "globset",
    "hashbrown",
    "proptest",
    "saphyr-parser",
    "schemars",
    "serde",
    "serde_json",
    "thiserror",
    "yaml_serde",
];

/// Crates from outside that the plugin contract may use: each is part of what plugin authors build.
const PLUGIN_API_ALLOWS: &[&str] = &["abi_stable", "serde", "serde_json", "tracing-core"];

/// Crates from outside that belong to some roles alone.
const RESERVED: &[(&str, &[Role])] = &[
    ("abi_stable", &[Role::PluginApi, Role::PluginHost]),
    ("libloading", &[Role::PluginHost, Role::Tests]),
    ("clap", &[Role::Host]),
    ("miette", &[Role::Host]),
];

/// Checks every crate of the workspace.
///
/// # Errors
/// All forbidden edges at once.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let broken = violations(&workspace.workspace_root, &workspace.packages);
    if broken.is_empty() {
        println!("dependency edges: {} crates, all allowed", workspace.packages.len());
        Ok(())
    } else {
        Err(Failure::Rules { check: "forbidden dependency edges", broken })
    }
}

fn violations(root: &Path, packages: &[Package]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in packages {
        let folder = package.manifest_path.parent().unwrap_or(root);
        let Some(role) = role(root, folder) else {
            broken.push(format!("{}: its folder has no place in the architecture", package.name));
            continue;
        };
        let sentences = package.dependencies.iter().filter_map(|edge| forbidden(root, role, edge));
        broken.extend(sentences.map(|sentence| format!("{}: {sentence}", package.name)));
    }
    broken
}

/// Why `edge` may not leave a crate of this role, if it may not.
fn forbidden(root: &Path, from: Role, edge: &Dependency) -> Option<String> {
    let name = &edge.name;
    let kind = edge.kind.as_deref().map_or(String::new(), |kind| format!(" ({kind})"));
    let allowed = match &edge.path {
        Some(folder) => role(root, folder).is_some_and(|to| may_know(from, to)),
        None => may_use(from, name),
    };
    (!allowed).then(|| format!("must not depend on {name}{kind}"))
}

fn role(root: &Path, folder: &Path) -> Option<Role> {
    let inside = folder.strip_prefix(root).ok()?.to_str()?;
    match inside.split('/').collect::<Vec<_>>().as_slice() {
        ["orchestrator-core"] => Some(Role::Core),
        ["orchestrator-plugin-api"] => Some(Role::PluginApi),
        ["host"] => Some(Role::Host),
        ["host", "crates", "ports"] => Some(Role::Ports),
        ["host", "crates", "plugin-host"] => Some(Role::PluginHost),
        ["host", "crates", _] => Some(Role::Room),
        ["plugins", _] => Some(Role::Plugin),
        ["tests"] => Some(Role::Tests),
        ["xtask"] => Some(Role::Chores),
        _ => None,
    }
}

fn may_know(from: Role, to: Role) -> bool {
    match from {
        Role::Core | Role::PluginApi | Role::Chores => false,
        Role::Ports => to == Role::Core,
        Role::Room => matches!(to, Role::Core | Role::Ports),
        Role::PluginHost => matches!(to, Role::Core | Role::Ports | Role::PluginApi),
        Role::Plugin => to == Role::PluginApi,
        Role::Host => !matches!(to, Role::Plugin | Role::Tests | Role::Chores),
        Role::Tests => true,
    }
}

fn may_use(from: Role, name: &str) -> bool {
    let listed = |list: &[&str]| list.contains(&name);
    let owned = RESERVED.iter().all(|(reserved, roles)| *reserved != name || roles.contains(&from));
    owned
        && match from {
            Role::Core => listed(CORE_ALLOWS),
            Role::PluginApi => listed(PLUGIN_API_ALLOWS),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn package(folder: &str, edges: &[(&str, Option<&str>)]) -> Package {
        let dependencies = edges
            .iter()
            .map(|(name, path)| Dependency {
                name: (*name).to_owned(),
                kind: None,
                path: path.map(|path| PathBuf::from("/w").join(path)),
            })
            .collect();
        let manifest_path = PathBuf::from("/w").join(folder).join("Cargo.toml");
        Package { name: folder.to_owned(), manifest_path, dependencies }
    }

    fn count(folder: &str, edges: &[(&str, Option<&str>)]) -> usize {
        violations(Path::new("/w"), &[package(folder, edges)]).len()
    }

    #[test]
    fn the_architecture_is_accepted() {
        let ports = ("ports", Some("host/crates/ports"));
        let core = ("core", Some("orchestrator-core"));
        let api = ("api", Some("orchestrator-plugin-api"));
        assert_eq!(count("orchestrator-core", &[("serde", None), ("yaml_serde", None)]), 0);
        assert_eq!(count("host/crates/store", &[ports, core, ("rusqlite", None)]), 0);
        assert_eq!(count("host/crates/plugin-host", &[ports, core, api, ("abi_stable", None)]), 0);
        assert_eq!(count("host", &[("store", Some("host/crates/store")), core, ("miette", None)]), 0);
        assert_eq!(count("plugins/system-metrics", &[api]), 0);
    }

    #[test]
    fn every_other_edge_is_refused() {
        assert_eq!(count("orchestrator-core", &[("tokio", None)]), 1);
        assert_eq!(count("orchestrator-core", &[("ports", Some("host/crates/ports"))]), 1);
        assert_eq!(count("orchestrator-plugin-api", &[("core", Some("orchestrator-core"))]), 1);
        assert_eq!(count("host/crates/store", &[("sysmon", Some("host/crates/sysmon"))]), 1);
        assert_eq!(count("host/crates/store", &[("api", Some("orchestrator-plugin-api"))]), 1);
        assert_eq!(count("host/crates/store", &[("miette", None)]), 1);
        assert_eq!(count("plugins/x", &[("core", Some("orchestrator-core"))]), 1);
        assert_eq!(count("plugins/x", &[("abi_stable", None)]), 1);
        assert_eq!(count("somewhere/else", &[]), 1);
    }
}
