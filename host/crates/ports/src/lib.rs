//! The traits through which the runtime reaches the outside world, and the plain data that crosses them.
//!
//! Every port is asynchronous by message: a call hands work over and returns at once; answers come back through a
//! [`Sink`] that the composer gave to the room at construction. So the loop waits for no room's work, though a
//! file system that hangs can hold it up where a call writes, and a test can stand in for any of them. The executor alone has no thread: whoever holds it lends it theirs ([`Executor::wait`]).

mod clock;
mod executor;
mod files;
mod histogram;
mod plugins;
mod probe;
mod store;
mod subscriber;

use std::sync::Arc;

pub use clock::Clock;
pub use executor::{
    ChildSettings, Executor, ExecutorEvent, InputSource, Launch, OutputSink, SignalScope, StopSignal, Waker,
};
pub use files::{Files, FilesEvent, Permit, PrivateOutput, PublishJob};
pub use histogram::Histogram;
pub use plugins::{PluginEvent, PluginHealth, PluginRound, Plugins, ProcessFacts};
pub use probe::{Probe, ProbeTarget, TreeReading};
pub use store::{Record, SampleRow, Store, StoreEvent, SyncMode};
pub use subscriber::{Notice, Subscriber};

/// Where a room's answers go. May be called from any thread; must not block for long.
pub type Sink<E> = Arc<dyn Fn(E) + Send + Sync>;
