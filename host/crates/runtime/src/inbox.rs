//! Everything that can happen to a run, in one order.

use std::sync::mpsc::{Receiver, Sender, channel as queue};
use std::sync::{Arc, OnceLock};

use orchestrator_core::scheduler::Policy;
use orchestrator_ports::{ExecutorEvent, FilesEvent, PluginEvent, Sink, StoreEvent, Waker};

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
    pub(crate) receiver: Receiver<Message>,
    pub(crate) post: Post,
}

/// The way into the inbox.
#[derive(Clone)]
pub(crate) struct Post {
    sender: Sender<Message>,
    /// Ends the loop's sleep; known when the loop begins, which looks into the inbox before it sleeps.
    waker: Arc<OnceLock<Waker>>,
}

impl Post {
    /// Tells the loop something. False when it has ended.
    pub(crate) fn send(&self, message: Message) -> bool {
        let sent = self.sender.send(message).is_ok();
        if let Some(wake) = self.waker.get() {
            wake();
        }
        sent
    }

    /// What ends the loop's sleep; the first one stays.
    pub(crate) fn wakes(&self, waker: Waker) {
        self.waker.get_or_init(|| waker);
    }
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
    fn sink<E: Send + 'static>(post: &Post, wrap: fn(E) -> Message) -> Sink<E> {
        let post = post.clone();
        Arc::new(move |event| {
            post.send(wrap(event));
        })
    }
    let (sender, receiver) = queue();
    let post = Post { sender, waker: Arc::default() };
    let sinks = Sinks {
        executor: sink(&post, Message::Executor),
        files: sink(&post, Message::Files),
        store: sink(&post, Message::Store),
        plugins: sink(&post, Message::Plugins),
        control: sink(&post, Message::Control),
    };
    (Inbox { receiver, post }, sinks)
}
