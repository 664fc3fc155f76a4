//! A handle on the instances for the rest of the program.

use super::Message;
use super::board::{Board, InstanceStatus, ReloadReport, SharedBoard};
use super::reload::Wanted;
use crate::instance::InstanceSpec;
use crate::library::Catalog;
use std::sync::PoisonError;
use std::sync::mpsc::Sender;

/// Looks at the instances of a run and reloads them, from any thread; it outlives them.
#[derive(Clone)]
pub struct PluginControl {
    messages: Sender<Message>,
    board: SharedBoard,
}

impl std::fmt::Debug for PluginControl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PluginControl").finish_non_exhaustive()
    }
}

impl PluginControl {
    pub(super) fn new(messages: Sender<Message>, board: SharedBoard) -> Self {
        Self { messages, board }
    }

    /// How every instance fares and what it has cost, in the order of the configuration; those that were taken out come
    /// last.
    #[must_use]
    pub fn status(&self) -> Vec<InstanceStatus> {
        Board::stats(&self.board).iter().map(InstanceStatus::from).collect()
    }

    /// Reloads asked for so far: the next one bears a higher number.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).reloads
    }

    /// How the last reload went; `None` before the first one is over.
    #[must_use]
    pub fn last_reload(&self) -> Option<ReloadReport> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).reload.clone()
    }

    /// Wants these instances from now on: [`ReloadTicket::reload`] by whoever asks last.
    pub fn reload(&self, catalog: Catalog, specs: Vec<InstanceSpec>) {
        self.ask_for_reload().reload(catalog, specs);
    }

    /// Takes a place in the order of reloads: of two that were asked for, the later one counts, however long reading the
    /// plugin directories took for each.
    #[must_use]
    pub fn ask_for_reload(&self) -> ReloadTicket {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.reloads += 1;
        ReloadTicket { number: board.reloads, control: self.clone() }
    }
}

/// A place in the order of reloads.
#[derive(Debug)]
pub struct ReloadTicket {
    number: u64,
    control: PluginControl,
}

impl ReloadTicket {
    /// Wants these instances from now on, made of the libraries of `catalog`. Returns at once; when all of them are
    /// settled, `PluginEvent::Reloaded` follows and [`PluginControl::last_reload`] says how it went.
    pub fn reload(self, catalog: Catalog, specs: Vec<InstanceSpec>) {
        let wanted = Wanted { number: self.number, specs, catalog };
        // A host that is gone reloads nothing.
        let _ = self.control.messages.send(Message::Reload(Box::new(wanted)));
    }

    /// Notes that it came to nothing before any instance was looked at.
    pub fn refuse(self, sentence: String) {
        let mut board = self.control.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.reload.as_ref().is_none_or(|last| last.number < self.number) {
            let (number, refused) = (self.number, Some(sentence));
            board.reload = Some(ReloadReport { number, refused, lines: Vec::new() });
        }
    }
}
