//! The cradles: given to children at birth, taken back when they have become their programs or ended.

use std::io;

use orchestrator_ports::Launch;

use crate::birth::Cradle;

/// Empty ones kept.
const SPARE: usize = 64;

/// A cradle with a child in it, or one whose outcome nobody has asked for.
#[derive(Debug)]
pub(crate) struct Occupied {
    /// Where it is.
    pub(crate) cradle: Cradle,
    /// What was ordered, for the words of a failure.
    pub(crate) launch: Box<Launch>,
}

/// How a birth went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The child has not become its program yet.
    Pending(Occupied),
    /// It has.
    Born,
    /// It could not, and has ended.
    Failed(io::Error, Box<Launch>),
}

/// Empty cradles.
#[derive(Debug, Default)]
pub(crate) struct Nursery {
    empty: Vec<Cradle>,
}

impl Nursery {
    /// A cradle for a birth.
    ///
    /// # Errors
    /// None is empty, and there is no memory for another.
    pub(crate) fn take(&mut self) -> io::Result<Cradle> {
        self.empty.pop().map_or_else(Cradle::new, Ok)
    }

    /// One that no child was born in.
    pub(crate) fn give_back(&mut self, cradle: Cradle) {
        if self.empty.len() < SPARE {
            self.empty.push(cradle);
        }
    }

    /// Asks how a birth went; `ended` says that the child is known to have ended.
    pub(crate) fn settle(&mut self, occupied: Occupied, ended: bool) -> Outcome {
        // In this order: a child says why it failed before it leaves.
        let here = occupied.cradle.is_occupied();
        let failure = occupied.cradle.failure();
        if !ended && (here || failure.is_some()) {
            return Outcome::Pending(occupied);
        }
        let Occupied { cradle, launch } = occupied;
        cradle.empty();
        self.give_back(cradle);
        match failure {
            Some(error) => Outcome::Failed(error, launch),
            None => Outcome::Born,
        }
    }
}
