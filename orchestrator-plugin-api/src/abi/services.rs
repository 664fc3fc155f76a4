//! What the host offers to a plugin while it works.

use super::values::LogLevelId;
use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

/// [`HostServices::remaining_ns`] when the call has no deadline, or when no call is under way.
pub const NO_DEADLINE: u64 = u64::MAX;

/// The host's services. Every function takes the [`HostHandle::context`] first and may be called from any
/// thread at any time after the instance was constructed.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostServicesRef, prefix_fields = HostServicesPrefix)))]
#[sabi(missing_field(option))]
pub struct HostServices {
    /// Writes a record to the host's log: level, target (a module path) and message.
    pub log: extern "C" fn(*mut (), LogLevelId, RStr<'_>, RStr<'_>),
    /// Nanoseconds left until the deadline of the call under way, 0 when it has passed.
    #[sabi(last_prefix_field)]
    pub remaining_ns: extern "C" fn(*mut ()) -> u64,
}

/// The services together with the host's own handle of the instance.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostHandle {
    /// The services.
    pub services: HostServicesRef,
    /// The host's own; handed back untouched as the first argument of every service. It stays valid for
    /// as long as the library is loaded, which is to the end of the process.
    pub context: *mut (),
}

// SAFETY: the contract of `HostServices` demands that every service may be called from any thread with the
// context, and the context itself is never dereferenced on the plugin's side.
unsafe impl Send for HostHandle {}
// SAFETY: as above; the handle holds no state of its own.
unsafe impl Sync for HostHandle {}
