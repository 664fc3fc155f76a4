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
