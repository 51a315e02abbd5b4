//! Pictures: the ring as SVG, and a whole cluster as a page of HTML. Pure: the same values give the same text.
//!
//! Both can be read by who cannot tell colours apart, or sees none: each shard has a texture beside its colour where
//! there are more than eight, and everything that is drawn is said in words as well.

mod draw;
mod markup;
pub mod page;
mod palette;
pub mod ring;

#[cfg(test)]
mod tests;
