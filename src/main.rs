//! The `ringshard` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringshard::terminal::main()
}
