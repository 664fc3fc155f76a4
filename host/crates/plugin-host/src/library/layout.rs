//! The layout check, in both directions.
//!
//! The check of `abi_stable` asks whether the library has *at least* what the host knows. So a host of contract 1.1 would
//! refuse a plugin built on 1.0 though it never touches what that one lacks. Where the library is the older one the
//! question is asked the other way round.
//!
//! It also remembers every type of every library, and compares each new one with all of them, the shorter with the longer:
//! a library of 1.1 would be refused where one of 1.0 was loaded before, since a type that has not grown may lead to one
//! that has. Libraries never meet each other, so each is compared with the host alone.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
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
    check_layout_compatibility_with_globals(older.0, newer.0, &CheckingGlobals::new()).map_err(|errors| {
        tracing::debug!(%errors, "layouts differ");
        in_one_line(&errors)
    })
}

/// `new_metrics > result > collect_process > result > retry_after_ms: u32 → u64`
///
/// Of all differences the innermost tells most: the others follow from it.
fn in_one_line(errors: &AbiInstabilityErrors) -> String {
    let told = errors.errors.iter().filter(|error| !error.errs.is_empty());
    let Some(innermost) = told.max_by_key(|error| error.stack_trace.len()) else {
        return "no details".to_owned();
    };
    let mut place: Vec<&str> = innermost.stack_trace.iter().map(|step| name_of(&step.expected)).collect();
    place.retain(|name| !matches!(*name, "0" | "field_0" | "obj" | "vtable"));
    place.dedup();
    let what = innermost.errs.first().map(describe).unwrap_or_default();
    format!("{}: {what}", place.join(" > ").replace("__returns", "result"))
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

#[cfg(test)]
mod tests {
    use super::check;
    use abi_stable::StableAbi;
    use abi_stable::type_layout::TypeLayout;
    use semver::Version;

    /// The same module in three versions of a contract, and one that breaks it.
    macro_rules! version {
        ($name:ident { $($later:ident : $kind:ty),* } last: $last:ty) => {
            #[expect(dead_code, reason = "only the layout is of interest")]
            mod $name {
                use abi_stable::StableAbi;

                #[repr(C)]
                #[derive(StableAbi)]
                #[sabi(kind(Prefix(prefix_ref = ModuleRef, prefix_fields = ModulePrefix)))]
                #[sabi(missing_field(option))]
                pub(super) struct Module {
                    pub(super) first: u32,
                    #[sabi(last_prefix_field)]
                    pub(super) last: $last,
                    $(pub(super) $later: $kind),*
                }
            }
        };
    }

    version! { old {} last: u64 }
    version! { new { later: u32, latest: u16 } last: u64 }
    version! { broken { later: u32 } last: u8 }

    /// A module that has not grown and leads to one that has.
    macro_rules! outer {
        ($name:ident, $inner:ty) => {
            #[expect(dead_code, reason = "only the layout is of interest")]
            mod $name {
                use abi_stable::StableAbi;

                #[repr(C)]
                #[derive(StableAbi)]
                #[sabi(kind(Prefix(prefix_ref = OuterRef, prefix_fields = OuterPrefix)))]
                #[sabi(missing_field(option))]
                pub(super) struct Outer {
                    #[sabi(last_prefix_field)]
                    pub(super) inner: extern "C" fn() -> $inner,
                }
            }
        };
    }

    outer! { old_outer, super::old::ModuleRef }
    outer! { same_outer, super::old::ModuleRef }
    outer! { new_outer, super::new::ModuleRef }

    #[test]
    fn what_was_loaded_before_does_not_matter() {
        let old = [(old_outer::OuterRef::LAYOUT, "1.0.0"), (same_outer::OuterRef::LAYOUT, "1.0.0")];
        let new = (new_outer::OuterRef::LAYOUT, "1.4.0");
        for host in [old[0], new] {
            for library in [old[0], new, old[1], new, old[0]] {
                assert_eq!(between(host, library), Ok(()));
            }
        }
    }

    fn between(
        host: (&'static TypeLayout, &str),
        library: (&'static TypeLayout, &str),
    ) -> Result<(), String> {
        let version = |text| Version::parse(text).unwrap();
        check((host.0, &version(host.1)), (library.0, &version(library.1)))
    }

    #[test]
    fn a_newer_host_takes_an_older_library_and_the_other_way_round() {
        let (old, new) = ((old::ModuleRef::LAYOUT, "1.0.0"), (new::ModuleRef::LAYOUT, "1.4.0"));
        assert_eq!(between(old, old), Ok(()));
        assert_eq!(between(new, new), Ok(()));
        assert_eq!(between(old, new), Ok(()));
        assert_eq!(between(new, old), Ok(()));
        // What the check of `abi_stable` alone would say of a newer host.
        assert!(abi_stable::abi_stability::abi_checking::check_layout_compatibility(new.0, old.0).is_err());
    }

    #[test]
    fn a_changed_field_is_named_in_one_line() {
        let told =
            between((old::ModuleRef::LAYOUT, "1.0.0"), (broken::ModuleRef::LAYOUT, "1.1.0")).unwrap_err();
        assert_eq!(told, "last: type u64 → u8");
    }
}
