//! The objects that a library hands out: one per configured instance.
#![expect(non_local_definitions, reason = "the derive puts its impls into a module of its own")]

use super::values::{Answer, Fault, ProcessView, Sample, SampleSink};
use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RVec};

/// An instance of a metrics class.
#[sabi_trait]
pub trait MetricsObject: Send {
    /// Pushes the metrics of one process.
    fn collect_process(&mut self, process: &ProcessView<'_>, sink: SampleSink) -> RResult<(), Fault>;

    /// Pushes metrics of the whole machine.
    #[sabi(last_prefix_field)]
    fn collect_system(&mut self, sink: SampleSink) -> RResult<(), Fault>;

    /// The instance's state as bytes of its own format, for a successor of it; none where it has no state worth
    /// keeping. Since 1.1; an older library has none.
    fn snapshot(&mut self) -> RResult<ROption<RVec<u8>>, Fault> {
        RResult::ROk(ROption::RNone)
    }

    /// Takes over the state that a predecessor gave, before the first other call. An instance that cannot use it
    /// answers with a fault and works on as initialised. Since 1.1; an older library starts anew.
    fn restore(&mut self, state: RSlice<'_, u8>) -> RResult<(), Fault> {
        let _ = state;
        RResult::ROk(())
    }
}

/// An instance of a capacity class.
#[sabi_trait]
pub trait CapacityObject: Send {
    /// Answers how many processes may run, from the calibration's and the current metrics.
    #[sabi(last_prefix_field)]
    fn calculate(
        &mut self,
        calibration: RSlice<'_, Sample<'_>>,
        current: RSlice<'_, Sample<'_>>,
    ) -> RResult<Answer, Fault>;

    /// The instance's state as bytes of its own format, for a successor of it; none where it has no state worth
    /// keeping. Since 1.1; an older library has none.
    fn snapshot(&mut self) -> RResult<ROption<RVec<u8>>, Fault> {
        RResult::ROk(ROption::RNone)
    }

    /// Takes over the state that a predecessor gave, before the first other call. An instance that cannot use it
    /// answers with a fault and works on as initialised. Since 1.1; an older library starts anew.
    fn restore(&mut self, state: RSlice<'_, u8>) -> RResult<(), Fault> {
        let _ = state;
        RResult::ROk(())
    }
}

/// An owned metrics instance.
pub type MetricsBox = MetricsObject_TO<'static, RBox<()>>;
/// An owned capacity instance.
pub type CapacityBox = CapacityObject_TO<'static, RBox<()>>;
