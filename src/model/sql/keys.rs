//! The keys that an expression names: constants that a sharding key equals.

use sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, InTarget, UnaryOperator, Value};

use crate::model::table::KeyType;

/// Calls `each` with the conditions that all hold if this one does.
pub(super) fn for_each_conjunct<'e>(condition: &'e Expr, each: &mut impl FnMut(&'e Expr)) {
    match condition {
        Expr::Nested(inner) => for_each_conjunct(inner, each),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            for_each_conjunct(left, each);
            for_each_conjunct(right, each);
        }
        other => each(other),
    }
}

/// The two sides of an equality.
pub(super) fn sides(condition: &Expr) -> Option<(&Expr, &Expr)> {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => Some((bare(left), bare(right))),
        _ => None,
    }
}

/// The column and the constants of `column = constant`, in either order, or `column IN (constant, …)`.
pub(super) fn constants(condition: &Expr) -> Option<(&Expr, Vec<&Expr>)> {
    if let Some((left, right)) = sides(condition) {
        return match (text_of(left).is_some(), text_of(right).is_some()) {
            (false, true) => Some((left, vec![right])),
            (true, false) => Some((right, vec![left])),
            _ => None,
        };
    }
    match condition {
        Expr::In { expr, target: InTarget::List(list), negated: false, .. } => {
            list.iter().all(|item| text_of(item).is_some()).then(|| (bare(expr), list.iter().collect()))
        }
        _ => None,
    }
}

/// Without parentheses.
pub(super) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// The text of a constant as a key of this type; `None` if it is no constant, or none of the type.
pub(super) fn key_of(constant: &Expr, of: KeyType) -> Option<String> {
    let (text, is_number) = text_of(constant)?;
    let is_text = matches!(of, KeyType::Text | KeyType::Varchar);
    // Postgres refuses to compare a text with a number.
    (!(is_text && is_number)).then(|| of.canonical(&text).ok()).flatten()
}

/// The text of a constant, and whether it is a number.
fn text_of(constant: &Expr) -> Option<(String, bool)> {
    match bare(constant) {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => Some((text.clone(), true)),
            // With backslashes it depends on a setting.
            Value::SingleQuotedString(text) if !text.contains('\\') => Some((text.clone(), false)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let (text, is_number) = text_of(expr)?;
            (is_number && !text.starts_with('-')).then(|| (format!("-{text}"), true))
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            let (text, was_number) = text_of(expr)?;
            match data_type {
                DataType::SmallInt(None) | DataType::Int2(None) => {
                    KeyType::Smallint.canonical(&text).ok().map(|text| (text, true))
                }
                DataType::Integer(None) | DataType::Int(None) | DataType::Int4(None) => {
                    KeyType::Integer.canonical(&text).ok().map(|text| (text, true))
                }
                DataType::BigInt(None) | DataType::Int8(None) => {
                    KeyType::Bigint.canonical(&text).ok().map(|text| (text, true))
                }
                DataType::Uuid => KeyType::Uuid.canonical(&text).ok().map(|text| (text, false)),
                // The text of a number may differ from its digits: 1e3.
                DataType::Text | DataType::Varchar(None) if !was_number => Some((text, false)),
                _ => None,
            }
        }
        _ => None,
    }
}
