//! The objects that a library hands out: one per configured instance.
#![expect(non_local_definitions, reason = "the derive puts its impls into a module of its own")]

use super::values::{Answer, Fault, ProcessView, Sample, SampleSink};
use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RResult, RSlice};

/// An instance of a metrics class.
#[sabi_trait]
pub trait MetricsObject: Send {
    /// Pushes the metrics of one process.
    fn collect_process(&mut self, process: &ProcessView<'_>, sink: SampleSink) -> RResult<(), Fault>;

    /// Pushes metrics of the whole machine.
    #[sabi(last_prefix_field)]
    fn collect_system(&mut self, sink: SampleSink) -> RResult<(), Fault>;
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
}

/// An owned metrics instance.
pub type MetricsBox = MetricsObject_TO<'static, RBox<()>>;
/// An owned capacity instance.
pub type CapacityBox = CapacityObject_TO<'static, RBox<()>>;
