//! Whether a file may be loaded: whom it belongs to, who may change it, who signed it.
//!
//! - [`place`]: the way to a file, held open step by step, and who may change what lies on it;
//! - [`signature`]: signatures and keys in the format of minisign;
//! - [`policy`]: `plugins.trust` and its verdict;
//! - [`audit`]: the line in the log.

mod audit;
pub(crate) mod place;
mod policy;
mod signature;

pub(crate) use audit::audit;
pub use place::{PlaceFault, Writers};
pub(crate) use policy::{Evidence, Loaded, signature_name};
pub use policy::{Ground, Trust, TrustError, TrustFault};
pub use signature::{KeyFault, KeyId, SignatureFault, Signer, TrustedKey};
