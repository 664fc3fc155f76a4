//! The layout check, in both directions.
//!
//! The check of `abi_stable` asks whether the library has *at least* what the host knows. So a host of contract 1.1 would
//! refuse a plugin built on 1.0 though it never touches what that one lacks. Where the library is the older one the
//! question is asked the other way round.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, check_layout_compatibility,
};
use abi_stable::type_layout::TLFieldOrFunction;
use abi_stable::type_layout::TypeLayout;
use semver::Version;

/// Whether libraries with these layouts and versions of one major version understand each other.
///
/// # Errors
/// The first difference in one line; the whole dump goes to the debug log.
pub(crate) fn check(
    host: (&'static TypeLayout, &Version),
    library: (&'static TypeLayout, &Version),
) -> Result<(), String> {
    let (older, newer) = if library.1 < host.1 { (library, host) } else { (host, library) };
    check_layout_compatibility(older.0, newer.0).map_err(|errors| {
        tracing::debug!(%errors, "layouts differ");
        in_one_line(&errors)
    })
}

/// `PluginLibrary > new_metrics > class: …`
fn in_one_line(errors: &AbiInstabilityErrors) -> String {
    let Some(first) = errors.errors.first() else { return "no details".to_owned() };
    let place: Vec<&str> = first.stack_trace.iter().map(|step| name_of(&step.expected)).collect();
    let what = first.errs.first().map(describe).unwrap_or_default();
    if place.is_empty() { what } else { format!("{}: {what}", place.join(" > ")) }
}

fn name_of(step: &TLFieldOrFunction) -> &'static str {
    match step {
        TLFieldOrFunction::Field(field) => field.name(),
        TLFieldOrFunction::Function(function) => function.name.as_str(),
    }
}

fn describe(error: &AbiInstability) -> String {
    match error {
        AbiInstability::Name(types) => format!("type {} → {}", types.expected, types.found),
        AbiInstability::Size(sizes) => format!("size {} → {}", sizes.expected, sizes.found),
        AbiInstability::FieldCountMismatch(counts) => {
            format!("{} → {} fields", counts.expected, counts.found)
        }
        AbiInstability::UnexpectedField(fields) => {
            format!("field {} → {}", fields.expected.name(), fields.found.name())
        }
        AbiInstability::PackageVersion(versions) => {
            format!("version {} → {}", versions.expected, versions.found)
        }
        AbiInstability::MismatchedPrimitive(types) => format!("{:?} → {:?}", types.expected, types.found),
        other => format!("{other:?}").chars().take_while(|c| !matches!(c, '(' | '{' | '\n')).collect(),
    }
}
