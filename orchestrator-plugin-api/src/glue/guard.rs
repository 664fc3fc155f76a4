//! Every entry into a plugin goes through [`Guard::enter`].

use super::panics::caught;
use crate::abi::{Fault, FaultCode, HostHandle};
use crate::author::error::{Error, Result};
use crate::author::host::with_host;

/// An author's object behind the boundary.
pub(crate) struct Guard<P> {
    state: State<P>,
    host: HostHandle,
}

/// A panic may leave an object half changed: from then on it is not touched.
enum State<P> {
    Sound(P),
    Poisoned,
}

impl<P> Guard<P> {
    pub(crate) fn new(plugin: P, host: HostHandle) -> Self {
        Self { state: State::Sound(plugin), host }
    }

    /// Calls the author's object; a panic poisons it.
    pub(crate) fn enter<T>(
        &mut self,
        call: impl FnOnce(&mut P) -> Result<T>,
    ) -> std::result::Result<T, Fault> {
        let State::Sound(plugin) = &mut self.state else {
            return Err(fault(FaultCode::POISONED, "an earlier call panicked".to_owned()));
        };
        let outcome = guarded(self.host, || call(plugin));
        if matches!(&outcome, Err(fault) if fault.code == FaultCode::PANICKED) {
            self.poison();
        }
        outcome
    }

    /// A half-changed object is leaked rather than dropped: its destructor might fail as well.
    fn poison(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.state, State::Poisoned));
    }
}

impl<P> Drop for Guard<P> {
    fn drop(&mut self) {
        if let State::Sound(plugin) = std::mem::replace(&mut self.state, State::Poisoned) {
            let _ = guarded(self.host, || -> Result<()> {
                drop(plugin);
                Ok(())
            });
        }
    }
}

/// Runs author's code with the host's services at hand; a panic becomes a fault.
pub(crate) fn guarded<T>(
    host: HostHandle,
    call: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, Fault> {
    match with_host(host, || caught(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(as_fault(error)),
        Err(told) => Err(fault(FaultCode::PANICKED, told)),
    }
}

fn as_fault(error: Error) -> Fault {
    error.into()
}

pub(crate) fn fault(code: FaultCode, message: String) -> Fault {
    Fault { code, retry_after_ms: 0, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::Guard;
    use crate::abi::{ByteSink, FactId, FaultCode, HostHandle, HostServices, LogLevelId, TextId};
    use crate::{Error, ErrorCode, Facts};
    use abi_stable::prefix_type::PrefixTypeTrait;
    use abi_stable::std_types::{RNone, ROption, RSome, RStr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    extern "C" fn log(_: *mut (), _: LogLevelId, _: RStr<'_>, _: RStr<'_>) {}

    extern "C" fn remaining_ns(_: *mut ()) -> u64 {
        7
    }

    extern "C" fn number(_: *mut (), pid: u32, id: FactId) -> ROption<f64> {
        if pid == 5 { RSome(f64::from(id.0)) } else { RNone }
    }

    extern "C" fn text(_: *mut (), _: u32, id: TextId, sink: ByteSink) -> bool {
        let known = id == TextId::COMMAND_LINE;
        if known {
            for part in ["cp\0-", "r\0"] {
                (sink.push)(sink.context, part.as_bytes().into());
            }
        }
        known
    }

    extern "C" fn environment(_: *mut (), _: u32, name: RStr<'_>, _: ByteSink) -> bool {
        name == "EMPTY"
    }

    fn host() -> HostHandle {
        let services = HostServices {
            log,
            remaining_ns,
            process_number: number,
            process_text: text,
            process_environment: environment,
        }
        .leak_into_prefix();
        HostHandle { services, context: std::ptr::null_mut() }
    }

    #[test]
    fn a_panic_becomes_a_fault_and_poisons() {
        let mut guard = Guard::new(5, host());
        assert_eq!(guard.enter(|number| Ok(*number)).unwrap(), 5);
        let fault = guard.enter(|_| -> crate::Result<()> { panic!("wrong: {}", 1) }).unwrap_err();
        assert_eq!(fault.code, FaultCode::PANICKED);
        assert!(fault.message.contains("wrong: 1"), "{}", fault.message);
        let fault = guard.enter(|number| Ok(*number)).unwrap_err();
        assert_eq!(fault.code, FaultCode::POISONED);
    }

    #[test]
    fn an_error_keeps_its_category_and_advice_and_does_not_poison() {
        let mut guard = Guard::new((), host());
        let wait = Duration::from_millis(1500);
        let error = Error::new(ErrorCode::Unavailable, "later").retry_after(wait);
        let fault = guard.enter(|()| -> crate::Result<()> { Err(error) }).unwrap_err();
        assert_eq!((fault.code, fault.retry_after_ms), (FaultCode::UNAVAILABLE, 1500));
        assert!(guard.enter(|()| Ok(())).is_ok());
    }

    #[test]
    fn facts_are_asked_of_the_host_of_the_call() {
        let mut guard = Guard::new((), host());
        guard
            .enter(|()| {
                let (known, unknown) = (Facts::of(5), Facts::of(6));
                assert_eq!((known.open_files(), unknown.open_files()), (Some(120.0), None));
                assert_eq!(known.command_line(), Some(vec!["cp".into(), "-r".into()]));
                assert_eq!(known.exe(), None);
                assert_eq!((known.environment("EMPTY"), known.environment("X")), (Some("".into()), None));
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn the_remaining_time_is_the_hosts() {
        let mut guard = Guard::new((), host());
        let left = guard.enter(|()| Ok(crate::remaining_time())).unwrap();
        assert_eq!(left, Some(Duration::from_nanos(7)));
    }

    /// Counts its drops.
    struct Counted(Arc<AtomicU32>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("dropped");
        }
    }

    #[test]
    fn a_sound_object_is_dropped_once_and_a_poisoned_one_never() {
        let drops = Arc::new(AtomicU32::new(0));
        drop(Guard::new(Counted(Arc::clone(&drops)), host()));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        let mut guard = Guard::new(Counted(Arc::clone(&drops)), host());
        assert!(guard.enter(|_| -> crate::Result<()> { panic!("wrong") }).is_err());
        drop(guard);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
