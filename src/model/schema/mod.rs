//! Changes of the schema on all shards: the statements of a change, and how the schemas of shards differ.

pub mod difference;
mod lexer;
pub mod statement;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::ring::position::Position;
use statement::{Statement, parse};

/// The most characters of a statement in a name or a message.
const SHOWN_MAX: usize = 60;

/// A change of the schema: either one transaction, or one statement that cannot run in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// The MD5 of the name and the text.
    pub id: Uuid,
    /// The name of its file, the name that the user gave, or the beginning of its text.
    pub name: String,
    /// Whether the name identifies it: no other text may have it.
    pub is_named: bool,
    /// The text as it was given.
    pub text: String,
    /// At least one.
    pub statements: Vec<Statement>,
}

impl SchemaChange {
    /// Parses the text. `origin`: where it comes from, for errors. Fails with `BadInput` if the text cannot be one change.
    pub fn parse(name: Option<String>, text: String, origin: &str) -> Result<Self> {
        let statements = parse(&text).map_err(|fault| {
            let message = format!("{origin}:{}: {}", fault.line, fault.why);
            Error::new(Kind::BadInput, message).hint(fault.hint)
        })?;
        let is_named = name.is_some();
        let name = name.unwrap_or_else(|| shortened(&statements[0].text));
        let id = Position::of_key(&format!("{name}\n{text}")).into();
        Ok(Self { id, name, is_named, text, statements })
    }

    /// The statement that cannot run in a transaction, if this is one.
    pub fn alone(&self) -> Option<&Statement> {
        self.statements.first().filter(|statement| statement.alone.is_some())
    }
}

/// A text in one line, cut.
pub fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
