//! The bodies of the constructors that [`export_plugin!`](crate::export_plugin) writes.

use super::guard::{Guard, fault, guarded};
use super::panics;
use crate::abi::{
    CapacityBox, CapacityObject_TO, Fault, FaultCode, MetricsBox, MetricsObject_TO, PluginLibrary,
    PluginLibraryRef, Request,
};
use crate::author::config;
use crate::{CapacityPlugin, MetricsPlugin};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::RResult;

/// Makes the library ready and hands out its root module.
pub fn prepare(library: PluginLibrary) -> PluginLibraryRef {
    panics::install_hook();
    #[cfg(feature = "tracing")]
    super::tracing_bridge::install();
    library.leak_into_prefix()
}

/// Makes an instance of a metrics class.
pub fn new_metrics<P: MetricsPlugin>(request: Request<'_>) -> RResult<MetricsBox, Fault> {
    guarded(request.host, || P::initialize(config::decode(request.config.as_str())?))
        .map(|plugin| {
            let guard = Guard::new(plugin, request.host);
            MetricsObject_TO::from_value(guard, abi_stable::sabi_trait::TD_Opaque)
        })
        .into()
}

/// Makes an instance of a capacity class.
pub fn new_capacity<P: CapacityPlugin>(request: Request<'_>) -> RResult<CapacityBox, Fault> {
    guarded(request.host, || P::initialize(config::decode(request.config.as_str())?))
        .map(|plugin| {
            let guard = Guard::new(plugin, request.host);
            CapacityObject_TO::from_value(guard, abi_stable::sabi_trait::TD_Opaque)
        })
        .into()
}

/// The answer to a request for a class that the library does not export.
pub fn no_such_class<T>(request: Request<'_>) -> RResult<T, Fault> {
    let message = format!("this library exports no class `{}` of this kind", request.class);
    RResult::RErr(fault(FaultCode::NO_SUCH_CLASS, message))
}
