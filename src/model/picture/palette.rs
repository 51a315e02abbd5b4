//! A colour for each shard, and a texture where colours run out.

use std::fmt::Write as _;

use crate::model::names::ShardName;

/// Colours that people tell apart whatever colours they see: those of Okabe and Ito ("Color Universal Design", 2008),
/// with grey for black, which would vanish on a dark ground. What is hard to see on white comes last.
const COLORS: [&str; 8] =
    ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A8A8A", "#F0E442"];
/// The stripes of the ninth shard on: so many degrees, and so wide.
const STRIPES: [(u32, u32); 4] = [(45, 2), (135, 2), (90, 1), (0, 3)];

/// The shards that a picture shows, each with a look of its own.
pub(super) struct Palette<'names> {
    names: Vec<&'names ShardName>,
}

impl<'names> Palette<'names> {
    /// The looks of these shards, each in its turn; a name that comes again changes nothing.
    pub(super) fn new(names: impl IntoIterator<Item = &'names ShardName>) -> Self {
        let mut palette = Self { names: Vec::new() };
        for name in names {
            if palette.place(name).is_none() {
                palette.names.push(name);
            }
        }
        palette
    }

    fn place(&self, name: &ShardName) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    /// The shards, in that order.
    pub(super) fn names(&self) -> &[&'names ShardName] {
        &self.names
    }

    /// The value of `fill` for a shard.
    pub(super) fn fill(&self, name: &ShardName) -> String {
        match self.place(name) {
            Some(at) if at < COLORS.len() => COLORS[at].to_owned(),
            Some(at) => format!("url(#shard-{at})"),
            None => "none".to_owned(),
        }
    }

    /// The colour that is most of a shard's look: for lines, which have no texture.
    pub(super) fn color(&self, name: &ShardName) -> &'static str {
        self.place(name).map_or("currentColor", |at| COLORS[at % COLORS.len()])
    }

    /// The textures, as `<defs>`; nothing if there are none.
    pub(super) fn definitions(&self) -> String {
        let mut out = String::new();
        for at in COLORS.len()..self.names.len() {
            let (degrees, width) = STRIPES[(at / COLORS.len() - 1) % STRIPES.len()];
            let color = COLORS[at % COLORS.len()];
            writeln!(
                out,
                "<pattern id=\"shard-{at}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
                 patternTransform=\"rotate({degrees})\"><rect width=\"6\" height=\"6\" fill=\"{color}\"/>\
                 <rect width=\"{width}\" height=\"6\" class=\"stripe\"/></pattern>"
            )
            .expect("a string takes all");
        }
        if out.is_empty() { out } else { format!("<defs>\n{out}</defs>\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_shards_look_alike() {
        let names: Vec<ShardName> = (10..50).map(|number| format!("s{number}").parse().unwrap()).collect();
        let palette = Palette::new(&names);
        let fills: std::collections::BTreeSet<String> = names.iter().map(|name| palette.fill(name)).collect();
        assert_eq!(fills.len(), names.len());
        let definitions = palette.definitions();
        for fill in fills.iter().filter_map(|fill| fill.strip_prefix("url(#")?.strip_suffix(')')) {
            assert!(definitions.contains(&format!("id=\"{fill}\"")), "{fill}");
        }
        let textures: std::collections::BTreeSet<&str> =
            definitions.lines().filter_map(|line| line.split_once(" width")).map(|(_, look)| look).collect();
        assert_eq!(textures.len(), names.len() - COLORS.len());
    }
}
