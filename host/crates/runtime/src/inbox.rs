//! Everything that can happen to a run, in one order.

use std::sync::Arc;

use orchestrator_core::scheduler::Policy;
use orchestrator_ports::{ExecutorEvent, FilesEvent, PluginEvent, Sink, StoreEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::collector::Collected;

/// What people ask of a run, by signal or otherwise.
#[derive(Debug)]
pub enum Control {
    /// Start nothing new; let what runs end (first Ctrl-C, SIGTERM).
    Drain,
    /// Stop what runs (second).
    StopNow,
    /// Leave at once: kill what runs and return; the state is safe (third).
    Leave,
    /// Suspend ourselves and what runs (SIGTSTP) until SIGCONT.
    Suspend,
    /// The configuration was read again (SIGHUP).
    Reload(Box<Policy>),
    /// Tell where things stand (SIGUSR1).
    Report,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Message {
    Executor(ExecutorEvent),
    Files(FilesEvent),
    Store(StoreEvent),
    Plugins(PluginEvent),
    Collected(Collected),
    Control(Control),
}

/// Where everything arrives. The channel is unbounded so that no room ever blocks on the loop; what can be in it is
/// bounded by the work in flight (slots, unpublished outputs, records), and by the input directory while it is scanned.
pub struct Inbox {
    pub(crate) receiver: UnboundedReceiver<Message>,
    pub(crate) sender: UnboundedSender<Message>,
}

/// The rooms' ways to speak, each handed to one room at construction.
#[derive(Clone)]
pub struct Sinks {
    /// For the executor.
    pub executor: Sink<ExecutorEvent>,
    /// For the files room.
    pub files: Sink<FilesEvent>,
    /// For the store.
    pub store: Sink<StoreEvent>,
    /// For the plugins.
    pub plugins: Sink<PluginEvent>,
    /// For signals and other requests.
    pub control: Sink<Control>,
}

/// An inbox and the sinks that lead to it. What is said after the run has ended is dropped.
#[must_use]
pub fn channel() -> (Inbox, Sinks) {
    fn sink<E: Send + 'static>(sender: &UnboundedSender<Message>, wrap: fn(E) -> Message) -> Sink<E> {
        let sender = sender.clone();
        Arc::new(move |event| drop(sender.send(wrap(event))))
    }
    let (sender, receiver) = unbounded_channel();
    let sinks = Sinks {
        executor: sink(&sender, Message::Executor),
        files: sink(&sender, Message::Files),
        store: sink(&sender, Message::Store),
        plugins: sink(&sender, Message::Plugins),
        control: sink(&sender, Message::Control),
    };
    (Inbox { receiver, sender }, sinks)
}
