//! What the host offers to a plugin while it works.

use super::values::{FactId, LogLevelId, TextId};
use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RSlice, RStr};

/// [`HostServices::remaining_ns`] when the call has no deadline, or when no call is under way.
pub const NO_DEADLINE: u64 = u64::MAX;

/// Where the host pushes the bytes of one text: any number of slices, which belong together, before the service
/// returns. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ByteSink {
    /// The plugin's own; handed back untouched as the first argument of `push`.
    pub context: *mut (),
    /// Takes the next bytes.
    pub push: extern "C" fn(*mut (), RSlice<'_, u8>),
}

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
    /// A numeric fact about one process (a `FactId` from 100 on), read now or earlier in the same round. The second
    /// argument is the process identifier of a process of the host's or of a descendant of one; of any other,
    /// where the fact cannot be read, and between calls, the answer is none. Since 1.1.
    pub process_number: extern "C" fn(*mut (), u32, FactId) -> ROption<f64>,
    /// A textual fact about one process (a `TextId` from 100 on), pushed into the sink; `false` and nothing pushed
    /// where there is none. Processes as in `process_number`. Since 1.1.
    pub process_text: extern "C" fn(*mut (), u32, TextId, ByteSink) -> bool,
    /// The value of an environment variable that a process was started with, by its name (`/proc/PID/environ`);
    /// `false` and nothing pushed where it has none or the host does not hand it out. Processes as in
    /// `process_number`. Since 1.1.
    pub process_environment: extern "C" fn(*mut (), u32, RStr<'_>, ByteSink) -> bool,
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
