//! An executor on a thread of its own, as the loop of a run would hold it, so that a test may wait for what it likes.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use orchestrator_core::AttemptId;
use orchestrator_exec_local::{ExecError, LocalExecutor, Options};
use orchestrator_ports::{Executor, ExecutorEvent, Launch, SignalScope, Sink, StopSignal, Waker};

type Order = Box<dyn FnOnce(&mut LocalExecutor) + Send>;

/// Dropping it ends the executor.
pub(crate) struct Driver {
    orders: Option<Sender<Order>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn start(sink: Sink<ExecutorEvent>, options: Options) -> Result<Self, ExecError> {
        let (orders, inbox) = channel::<Order>();
        let mut executor = LocalExecutor::start(sink, options)?;
        let waker = executor.waker();
        let drive = move || {
            let mut next = None;
            loop {
                let mut is_over = false;
                executor.wait(None, &mut || match inbox.try_recv() {
                    Ok(order) => {
                        next = Some(order);
                        false
                    }
                    Err(error) => {
                        is_over = error == std::sync::mpsc::TryRecvError::Disconnected;
                        !is_over
                    }
                });
                if let Some(order) = next.take() {
                    order(&mut executor);
                } else if is_over {
                    return executor.shutdown();
                }
            }
        };
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(drive).unwrap();
        Ok(Self { orders: Some(orders), waker, thread: Some(thread) })
    }

    fn order(&self, order: impl FnOnce(&mut LocalExecutor) + Send + 'static) {
        let orders = self.orders.as_ref().expect("not ended");
        assert!(orders.send(Box::new(order)).is_ok(), "the driver has ended");
        (self.waker)();
    }

    pub(crate) fn launch(&self, launch: Launch) {
        self.order(|executor| executor.launch(launch));
    }

    pub(crate) fn signal(&self, attempt: AttemptId, signal: StopSignal, scope: SignalScope) {
        self.order(move |executor| executor.signal(&[attempt], signal, scope));
    }

    /// The thread does nothing more until the sender is dropped, as if it hung in the kernel. Returns when it does.
    pub(crate) fn hang(&self) -> Sender<()> {
        let (release, is_released) = channel::<()>();
        let (hangs, is_hanging) = channel();
        self.order(move |_| {
            hangs.send(()).unwrap();
            assert!(is_released.recv().is_err(), "released by the drop of the sender");
        });
        is_hanging.recv().unwrap();
        release
    }

    /// Returns when all have been sent.
    pub(crate) fn signal_all(&self, signal: StopSignal) {
        let (done, is_done) = channel();
        self.order(move |executor| {
            executor.signal_all(signal);
            done.send(()).unwrap();
        });
        is_done.recv().unwrap();
    }

    pub(crate) fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.orders.take());
        (self.waker)();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the driver panicked");
        }
    }
}
