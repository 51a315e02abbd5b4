//! The prompt of the REPL.

use super::harness::Test;
use super::pty::Person;

/// The prompt of this home's cluster of three.
pub(crate) fn prompt(test: &Test, marks: &str) -> String {
    format!("ringshard {} 3{marks}>", &test.cluster_id(1)[..8])
}

/// A person who has been greeted.
pub(crate) fn greeted(test: &Test, columns: u16, more: &[(&str, &str)]) -> Person {
    let mut person = Person::at_the_repl(test, columns, more);
    person.is_asked();
    person
}
