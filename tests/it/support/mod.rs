//! What the tests share: servers, the program, the person at the terminal, faults.

pub(crate) mod gate;
pub(crate) mod harness;
pub(crate) mod move_steps;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod servers;
