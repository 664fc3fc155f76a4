//! The root module of a plugin library.

use super::objects::{CapacityBox, MetricsBox};
use super::services::HostHandle;
use super::values::Fault;
use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RStr};

/// The ELF section that holds the descriptor's JSON, and nothing else.
pub const DESCRIPTOR_SECTION: &str = ".orchestrator.plugin";

/// What a constructor is given.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Request<'a> {
    /// The class to construct, as the configuration's `class:` names it.
    pub class: RStr<'a>,
    /// The instance's `config:` section as a JSON object; `{}` where the configuration has none.
    pub config: RStr<'a>,
    /// The host's services for this instance.
    pub host: HostHandle,
}

/// Constructs an instance of a metrics class.
pub type NewMetrics = extern "C" fn(Request<'_>) -> RResult<MetricsBox, Fault>;
/// Constructs an instance of a capacity class.
pub type NewCapacity = extern "C" fn(Request<'_>) -> RResult<CapacityBox, Fault>;

// The derive sees function pointers only where they are written out, hence no `NewMetrics` in the fields.
/// The root module: the descriptor and one constructor per kind of plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginLibraryRef, prefix_fields = PluginLibraryPrefix)))]
#[sabi(missing_field(option))]
pub struct PluginLibrary {
    /// The descriptor as JSON, byte for byte what stands in [`DESCRIPTOR_SECTION`].
    pub descriptor: RStr<'static>,
    /// Constructor of metrics classes, if the library has any.
    pub new_metrics: Option<extern "C" fn(Request<'_>) -> RResult<MetricsBox, Fault>>,
    /// Constructor of capacity classes, if the library has any.
    #[sabi(last_prefix_field)]
    pub new_capacity: Option<extern "C" fn(Request<'_>) -> RResult<CapacityBox, Fault>>,
}

impl RootModule for PluginLibraryRef {
    abi_stable::declare_root_module_statics! {PluginLibraryRef}

    const BASE_NAME: &'static str = "orchestrator_plugin";
    const NAME: &'static str = "orchestrator_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_exported_name_is_the_one_that_loaders_look_for() {
        assert_eq!(abi_stable::library::ROOT_MODULE_LOADER_NAME, "_1as_0lib_1header_0root_bmodule_bloader");
    }
}
