//! Real plugin libraries against the real plugin host: the bundled ones, a third party's, and ones that do everything
//! wrong.

mod bundled;
mod check;
mod faults;
mod files;
mod fixtures;
mod isolation;
mod life;
mod museum;
mod new;
mod signing;
mod skew;
mod stage;
mod third_party;
mod trust;
mod world;
mod zoo;
