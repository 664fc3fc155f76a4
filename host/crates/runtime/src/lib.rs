//! The loop: select event, step, persist, publish, perform.
