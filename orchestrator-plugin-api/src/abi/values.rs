//! By-value types: frozen for the life of version 1.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr, RString};

/// The numbers of a `u32` newtype: a constant each, and all of them with their names.
macro_rules! ids {
    ($type:ident { $($(#[$about:meta])* $name:ident = $number:literal,)* }) => {
        impl $type {
            $($(#[$about])* pub const $name: Self = Self($number);)*

            /// All numbers that have a meaning in this version, with the names of their constants.
            pub const ALL: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

/// One named value. Names are dotted and lower case (`net.tcp.established`), values plain numbers in the
/// unit that the descriptor states.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: RStr<'a>,
    /// The metric's value.
    pub value: f64,
}

/// Where a plugin pushes its samples: the whole result of a call in one slice.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct SampleSink {
    /// The host's own; handed back untouched as the first argument of `push`.
    pub context: *mut (),
    /// Takes the samples; `false` means that the host takes no more in this call.
    pub push: extern "C" fn(*mut (), RSlice<'_, Sample<'_>>) -> bool,
}

/// Names a numeric fact about a process. Unknown numbers are skipped by the reader.
///
/// Facts below 100 come with the [`ProcessView`] and are sums over the process and its descendants. Facts from 100 on
/// are of one process, descendants left out, and are read when a plugin asks
/// ([`HostServices`](super::HostServices)`::process_number`). No number is ever given a second meaning.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct FactId(pub u32);

ids! { FactId {
    /// CPU time used so far, user and system, in seconds, descendants included.
    CPU_SECONDS = 1,
    /// Resident memory in bytes, descendants included.
    RSS_BYTES = 2,
    /// Virtual memory in bytes, descendants included.
    VIRTUAL_BYTES = 3,
    /// Bytes read from storage so far, descendants included.
    READ_BYTES = 4,
    /// Bytes written to storage so far, descendants included.
    WRITE_BYTES = 5,
    /// Number of threads, descendants included.
    THREADS = 6,
    /// Seconds since the process was started.
    AGE_SECONDS = 7,

    /// Bytes that read calls returned so far, whatever their source (`rchar` of `/proc/PID/io`). Since 1.1.
    IO_READ_CHARS = 100,
    /// Bytes that were handed to write calls so far (`wchar` of `/proc/PID/io`). Since 1.1.
    IO_WRITE_CHARS = 101,
    /// Read calls so far (`syscr` of `/proc/PID/io`). Since 1.1.
    IO_READ_CALLS = 102,
    /// Write calls so far (`syscw` of `/proc/PID/io`). Since 1.1.
    IO_WRITE_CALLS = 103,
    /// Bytes fetched from storage so far (`read_bytes` of `/proc/PID/io`). Since 1.1.
    IO_READ_BYTES = 104,
    /// Bytes sent to storage so far (`write_bytes` of `/proc/PID/io`). Since 1.1.
    IO_WRITE_BYTES = 105,

    /// Memory in bytes, shared pages divided by the number of their users (`Pss` of `/proc/PID/smaps_rollup`).
    /// Since 1.1.
    PSS_BYTES = 110,
    /// Memory in bytes that nobody else uses (`Private_Clean` + `Private_Dirty` + `Private_Hugetlb` of
    /// `/proc/PID/smaps_rollup`). Since 1.1.
    USS_BYTES = 111,
    /// Swapped-out memory in bytes (`Swap` of `/proc/PID/smaps_rollup`). Since 1.1.
    SWAP_BYTES = 112,

    /// Open file descriptors (entries of `/proc/PID/fd`). Since 1.1.
    OPEN_FILES = 120,
    /// How likely the kernel ends the process when memory runs out, 0 to 2000 (`/proc/PID/oom_score`). Since 1.1.
    OOM_SCORE = 121,
    /// Adjustment of that score, -1000 to 1000 (`/proc/PID/oom_score_adj`). Since 1.1.
    OOM_SCORE_ADJ = 122,
    /// Nice value, -20 to 19 (field 19 of `/proc/PID/stat`). Since 1.1.
    NICE = 123,
} }

/// A numeric fact about a process that the host has read already.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Number {
    /// Which fact.
    pub id: FactId,
    /// Its value, in the unit of the fact.
    pub value: f64,
}

/// Names a textual fact about a process. Unknown numbers are skipped by the reader.
///
/// Texts below 100 come with the [`ProcessView`]; those from 100 on are read when a plugin asks
/// ([`HostServices`](super::HostServices)`::process_text`).
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextId(pub u32);

ids! { TextId {
    /// The task's identifier.
    TASK = 1,
    /// Path of the input file.
    INPUT_FILE = 2,
    /// Path of the final output file.
    OUTPUT_FILE = 3,
    /// The attempt's private working place.
    TEMP_DIR = 4,

    /// Path of the running program (the link `/proc/PID/exe`; ` (deleted)` at its end if the file is gone). Since 1.1.
    EXE = 100,
    /// Working directory (the link `/proc/PID/cwd`). Since 1.1.
    WORKING_DIRECTORY = 101,
    /// The arguments, each ended by a NUL byte (`/proc/PID/cmdline`); empty for a zombie. Since 1.1.
    COMMAND_LINE = 102,
    /// Path within the cgroup v2 hierarchy (what follows `0::` in `/proc/PID/cgroup`, without the line's end).
    /// Since 1.1.
    CGROUP = 103,
} }

/// A textual fact about a process: bytes, since paths need not be UTF-8.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Which fact.
    pub id: TextId,
    /// Its bytes.
    pub bytes: RSlice<'a, u8>,
}

/// What the host knows about one of its processes at the time of the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ProcessView<'a> {
    /// Process identifier of the process that the host started.
    pub pid: u32,
    /// Start time in clock ticks after boot (field 22 of `/proc/PID/stat`), 0 if unknown. Together with
    /// `pid` it identifies the process.
    pub start_ticks: u64,
    /// Process identifiers of all living descendants, the process itself left out.
    pub descendants: RSlice<'a, u32>,
    /// Numeric facts; a fact that the host does not have is absent.
    pub numbers: RSlice<'a, Number>,
    /// Textual facts; a fact that the host does not have is absent.
    pub texts: RSlice<'a, Text<'a>>,
}

/// Category of a [`Fault`]. Unknown numbers read as [`FaultCode::OTHER`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultCode(pub u32);

ids! { FaultCode {
    /// Anything without a category of its own.
    OTHER = 0,
    /// The configuration of the instance is wrong; trying again is of no use.
    CONFIG = 1,
    /// Something outside is not there at present; trying again may help.
    UNAVAILABLE = 2,
    /// The machine lacks what the plugin needs; trying again is of no use.
    UNSUPPORTED = 3,
    /// The plugin panicked in this call.
    PANICKED = 4,
    /// The plugin panicked in an earlier call and answers no more.
    POISONED = 5,
    /// The library does not export the class that was asked for.
    NO_SUCH_CLASS = 6,
} }

/// An error as it crosses the boundary.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Fault {
    /// The category.
    pub code: FaultCode,
    /// After how many milliseconds the call may be worth another try; 0 = no advice.
    pub retry_after_ms: u32,
    /// One sentence, lower case, that names the thing and says what to do.
    pub message: RString,
}

/// A capacity plugin's answer.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Answer {
    /// How many processes may run in all; `u32::MAX` = no limit.
    pub processes: u32,
    /// What limits it, in a few words; may be empty.
    pub reason: RString,
}

/// Severity of a log record. Unknown numbers read as [`LogLevelId::INFO`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLevelId(pub u32);

ids! { LogLevelId {
    /// A call or the plugin failed.
    ERROR = 1,
    /// Something is wrong but the plugin goes on.
    WARN = 2,
    /// Worth reading in normal operation.
    INFO = 3,
    /// For the plugin's author.
    DEBUG = 4,
    /// For the plugin's author, in every detail.
    TRACE = 5,
} }
