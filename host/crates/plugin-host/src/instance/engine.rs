//! What runs in whatever process: one object of a library, and every call into it.

use super::collect::{Collector, Declared, Ledger, text};
use super::context::{Context, words};
use super::stats::Meter;
use crate::library::Library;
use crate::translate;
use orchestrator_core::metrics::Metrics;
use orchestrator_plugin_api::abi::{CapacityBox, Fault, FaultCode, MetricsBox, Request};
use orchestrator_plugin_api::{ClassDescriptor, PluginKind};
use orchestrator_ports::ProcessFacts;
use std::time::{Duration, Instant};

/// Longest state in bytes: it is copied and kept.
pub(crate) const STATE_BYTES: usize = 8 << 20;
const WARN: u32 = 2;

/// One constructed object. Only the thread that owns the engine calls into the plugin.
pub(crate) struct Engine {
    object: Object,
    context: &'static Context,
}

enum Object {
    Metrics(MetricsBox, Declared),
    Capacity(CapacityBox),
}

/// What an object is made of.
pub(crate) struct Birth<'b> {
    pub(crate) kind: PluginKind,
    pub(crate) class: &'b str,
    /// The `config:` section as a JSON object.
    pub(crate) config: &'b str,
    /// What the library's descriptor says about the class.
    pub(crate) described: Option<&'b ClassDescriptor>,
    /// State of an earlier object, handed over after construction.
    pub(crate) restore: Option<&'b [u8]>,
}

/// Why there is no object.
#[derive(Debug)]
pub(crate) enum StillBirth {
    /// The descriptor promises a class of a kind that the library has no constructor for.
    NoConstructor,
    /// The constructor's answer, or a panic while it took over a state.
    Refused(Fault),
}

/// A call's answer and cost.
pub(crate) struct Call<T> {
    pub(crate) result: Result<T, Fault>,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl<T> Call<T> {
    /// The call's cost and error, if any, without its value.
    pub(crate) fn cost(&self) -> Call<()> {
        let result = self.result.as_ref().map(|_| ()).map_err(Clone::clone);
        Call { result, wall: self.wall, cpu: self.cpu }
    }
}

impl Engine {
    /// Constructs the object and hands it the state to go on from. `book` hears of each call.
    ///
    /// An object that cannot use the state works on as initialised, which is logged.
    ///
    /// # Errors
    /// The library has no constructor of the kind, or the plugin refuses.
    pub(crate) fn construct(
        library: Library,
        birth: &Birth<'_>,
        context: &'static Context,
        book: &mut dyn FnMut(Call<()>),
    ) -> Result<Self, StillBirth> {
        let module = library.module();
        let request =
            Request { class: birth.class.into(), config: birth.config.into(), host: context.handle() };
        let mut booked = |call: Call<Object>| {
            book(call.cost());
            call.result.map_err(StillBirth::Refused)
        };
        let object = match birth.kind {
            PluginKind::Metrics => {
                let new = module.new_metrics().ok_or(StillBirth::NoConstructor)?;
                let declared = birth.described.map(Declared::new).unwrap_or_default();
                let call = || new(request).into_result().map(|object| Object::Metrics(object, declared));
                booked(timed(call))?
            }
            PluginKind::Capacity => {
                let new = module.new_capacity().ok_or(StillBirth::NoConstructor)?;
                booked(timed(|| new(request).into_result().map(Object::Capacity)))?
            }
            PluginKind::Unknown => return Err(StillBirth::NoConstructor),
        };
        let mut engine = Self { object, context };
        if let Some(state) = birth.restore {
            let call = engine.restore(state);
            book(call.cost());
            match call.result {
                Err(fault) if is_final(&fault) => return Err(StillBirth::Refused(fault)),
                Err(fault) => {
                    let message = fault.message.as_str();
                    context.say(WARN, &format!("begins anew, without its earlier state: {message}"));
                }
                Ok(()) => {}
            }
        }
        Ok(engine)
    }

    /// Measures one process after the other until all are done, `end` has passed, or `each` answers `false`; returns how
    /// many were asked about. `each` hears of every process's call.
    ///
    /// `built_in` are the host's own metrics, which no plugin overrides; what is not believed is counted in `ledger`.
    pub(crate) fn processes<'p>(
        &mut self,
        processes: impl Iterator<Item = &'p ProcessFacts>,
        (built_in, ledger): (&Metrics, &mut Ledger),
        end: Instant,
        mut each: impl FnMut(&'p ProcessFacts, Call<Metrics>) -> bool,
    ) -> usize {
        let mut asked = 0;
        for facts in processes {
            if Instant::now() >= end {
                break;
            }
            asked += 1;
            let view = translate::ProcessFactsView::new(facts);
            let texts = view.texts();
            let call = self.collect(built_in, ledger, |object, sink| {
                object.collect_process(&view.view(&texts), sink).into_result()
            });
            if !each(facts, call) {
                break;
            }
        }
        asked
    }

    /// Measures the machine.
    pub(crate) fn system(&mut self, built_in: &Metrics, ledger: &mut Ledger) -> Call<Metrics> {
        self.collect(built_in, ledger, |object, sink| object.collect_system(sink).into_result())
    }

    fn collect(
        &mut self,
        built_in: &Metrics,
        ledger: &mut Ledger,
        call: impl FnOnce(&mut MetricsBox, orchestrator_plugin_api::abi::SampleSink) -> Result<(), Fault>,
    ) -> Call<Metrics> {
        let _mark = self.context.begin_call();
        match &mut self.object {
            Object::Metrics(object, declared) => {
                let collector = Collector::new(declared, built_in, ledger);
                timed(|| collector.fill(|sink| call(object, sink)))
            }
            Object::Capacity(_) => unsupported("a capacity plugin measures nothing"),
        }
    }

    /// Asks how many processes may run, and why.
    pub(crate) fn calculate(&mut self, calibration: &Metrics, current: &Metrics) -> Call<(u32, String)> {
        let Object::Capacity(object) = &mut self.object else {
            return unsupported("a metrics plugin calculates no capacity");
        };
        let (calibration, current) = (translate::samples(calibration), translate::samples(current));
        let _mark = self.context.begin_call();
        timed(|| {
            let answer =
                object.calculate(calibration.as_slice().into(), current.as_slice().into()).into_result()?;
            Ok((answer.processes, words(&text(answer.reason.as_rstr()))))
        })
    }

    /// The object's state, to be handed to a later object of the same class; `None` = it has none.
    pub(crate) fn snapshot(&mut self) -> Call<Option<Vec<u8>>> {
        let _mark = self.context.begin_call();
        timed(|| {
            let state = match &mut self.object {
                Object::Metrics(object, _) => object.snapshot(),
                Object::Capacity(object) => object.snapshot(),
            };
            let state = state.into_result()?.into_option().map(|state| state.into_vec());
            match state {
                Some(state) if state.len() > STATE_BYTES => Err(too_large(state.len())),
                state => Ok(state),
            }
        })
    }

    fn restore(&mut self, state: &[u8]) -> Call<()> {
        let _mark = self.context.begin_call();
        timed(|| match &mut self.object {
            Object::Metrics(object, _) => object.restore(state.into()).into_result(),
            Object::Capacity(object) => object.restore(state.into()).into_result(),
        })
    }
}

/// Whether no later call can succeed.
pub(crate) fn is_final(fault: &Fault) -> bool {
    let last = [FaultCode::PANICKED, FaultCode::POISONED, FaultCode::CONFIG, FaultCode::UNSUPPORTED];
    last.contains(&fault.code)
}

fn timed<T>(call: impl FnOnce() -> Result<T, Fault>) -> Call<T> {
    let meter = Meter::start();
    let result = call();
    let (wall, cpu) = meter.stop();
    let result =
        result.map_err(|fault| Fault { message: words(&text(fault.message.as_rstr())).into(), ..fault });
    Call { result, wall, cpu }
}

fn too_large(bytes: usize) -> Fault {
    let message = format!("its state has {bytes} bytes; at most {STATE_BYTES} are kept");
    Fault { code: FaultCode::OTHER, retry_after_ms: 0, message: message.into() }
}

fn unsupported<T>(message: &str) -> Call<T> {
    let fault = Fault { code: FaultCode::UNSUPPORTED, retry_after_ms: 0, message: message.into() };
    Call { result: Err(fault), wall: Duration::ZERO, cpu: Duration::ZERO }
}
