//! `calibrate`: measure what one process needs, keep the result for later runs.

use crate::cli::CalibrateArgs;
use crate::errors::Failure;
use crate::exit::Exit;
use crate::session::Session;

/// A run that ends when calibration is complete.
pub(super) fn calibrate(args: &CalibrateArgs, session: &Session) -> Result<Exit, Failure> {
    super::run::calibrate(args, session)
}
