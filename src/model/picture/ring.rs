//! The ring as a picture.

use std::fmt::Write as _;

use super::draw::{Point, at, point, sector, spread, turn, turns};
use super::markup::{escaped, number, percent, shortened};
use super::palette::Palette;
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::moved_share::{SharedArc, overlay};
use crate::model::ring::position::Position;
use crate::model::text::{counted, thousands};

/// The band of the arcs.
const BAND: (f64, f64) = (150.0, 200.0);
/// The ticks of the virtual nodes.
const TICKS: (f64, f64) = (203.0, 211.0);
/// The band of what moves.
const MOVES: (f64, f64) = (216.0, 230.0);
/// Where keys lie.
const KEYS: f64 = 240.0;
/// How far from the middle the labels of keys begin.
const LABELS: f64 = 276.0;
/// How much room a line of text has.
const LINE: f64 = 20.0;
/// The most arcs that have words of their own: of more, each would be too small to point at.
const TOLD_MAX: usize = 2_000;
/// How many characters of a name and of a key are shown.
const NAME_CHARACTERS_MAX: usize = 26;
const KEY_CHARACTERS_MAX: usize = 22;

/// How a ring looks, in both lights.
pub(super) const STYLE: &str = "\
.ring{--paper:#fff;--ink:#1b1f24;--faint:#6a737d;color:var(--ink);font:13px/1.4 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){.ring{--paper:#14171a;--ink:#e6e8eb;--faint:#9aa4ae}}
@media print{.ring{--paper:#fff;--ink:#000;--faint:#444}}
.ring text{fill:currentColor}
.ring .paper{fill:var(--paper)}
.ring .faint{fill:var(--faint)}
.ring .heading{font-size:16px;font-weight:600}
.ring .large{font-size:30px;font-weight:600}
.ring .arcs path{stroke:var(--paper);stroke-width:.4}
.ring .stays{opacity:.35}
.ring .ticks path{fill:none;stroke-width:1}
.ring .way{fill:none;stroke:currentColor;stroke-width:1}
.ring .leader{fill:none;stroke:var(--faint);stroke-width:.7}
.ring .key{fill:currentColor;stroke:var(--paper);stroke-width:1}
.ring .rule{stroke:var(--faint);stroke-width:.7}
.ring .end{text-anchor:end}
.ring .middle{text-anchor:middle}
.stripe{fill:#fff;opacity:.75}
";

/// What the outer band is.
pub(super) const OUTER_BAND: &str = "Outer band: what moves, in the colour of the shard that gets it.";

/// Where the picture is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// In a file of its own.
    File,
    /// Within a page, which has its style, a heading and a legend.
    Page,
}

/// What is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct RingPicture<'a> {
    /// What stands above it.
    pub heading: &'a str,
    /// The ring as it is.
    pub now: &'a Ring,
    /// The ring that is to follow.
    pub then: Option<&'a Ring>,
    /// Keys to show.
    pub keys: &'a [String],
}

impl RingPicture<'_> {
    /// The picture as SVG.
    pub fn svg(&self, frame: Frame) -> String {
        let palette = self.palette();
        let labels = self.labels(&palette);
        let is_page = frame == Frame::Page;
        let outermost = match (self.keys.is_empty(), self.then) {
            (false, _) => KEYS + 12.0,
            (true, Some(_)) => MOVES.1 + 8.0,
            (true, None) => TICKS.1 + 8.0,
        };
        let reach = labels.iter().map(|label| label.height.abs()).fold(outermost, f64::max);
        let half_width = match (self.keys.is_empty(), frame) {
            (false, _) => 500.0,
            (true, Frame::File) => 262.0,
            (true, Frame::Page) => reach,
        };
        // A page has heading and legend of its own.
        let (top, legend_at) = (-reach - if is_page { 0.0 } else { 46.0 }, reach + 26.0);
        let bottom = if is_page { reach } else { legend_at + LINE * self.legend_lines(&palette) };
        let height = bottom - top;
        let (left, width) = (-half_width, half_width * 2.0);
        let namespace = if frame == Frame::File { " xmlns=\"http://www.w3.org/2000/svg\"" } else { "" };
        let view = [left, top, width, height].map(number).join(" ");
        let size = if frame == Frame::File {
            format!(" width=\"{}\" height=\"{}\"", number(width), number(height))
        } else {
            String::new()
        };
        let mut out = format!(
            "<svg{namespace} class=\"ring\" viewBox=\"{view}\"{size} role=\"img\" aria-labelledby=\"ring-title ring-words\">\n\
             <title id=\"ring-title\">{}</title>\n<desc id=\"ring-words\">{}</desc>\n",
            escaped(self.heading),
            escaped(&self.words())
        );
        if frame == Frame::File {
            let _ = writeln!(
                out,
                "<style>{STYLE}</style>\n<rect class=\"paper\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                number(left),
                number(top),
                number(width),
                number(height)
            );
        }
        out += &palette.definitions();
        if !is_page {
            let _ = writeln!(
                out,
                "<text class=\"heading middle\" x=\"0\" y=\"{}\">{}</text>",
                number(top + 30.0),
                escaped(self.heading)
            );
        }
        out += &self.arcs(&palette);
        out += &self.ticks(&palette);
        out += &self.middle();
        for label in &labels {
            label.draw(&mut out);
        }
        if !is_page {
            out += &self.legend(&palette, legend_at);
        }
        out + "</svg>\n"
    }

    /// The looks of the shards: who is there keeps its own whoever comes.
    pub(super) fn palette(&self) -> Palette<'_> {
        Palette::new(self.now.shards().iter().chain(self.then.iter().flat_map(|then| then.shards())))
    }

    fn pieces(&self) -> Vec<SharedArc<'_>> {
        overlay(self.now, self.then.unwrap_or(self.now))
    }

    /// The share of all keys that moves.
    fn moved(&self) -> f64 {
        self.pieces().iter().filter(|piece| piece.moves()).fold(0.0, |sum, piece| sum + piece.arc.share())
    }

    /// What is drawn, for who does not see it.
    fn words(&self) -> String {
        let shares: Vec<String> =
            self.now.shares().into_iter().map(|(name, share)| format!("{name} {}", percent(share))).collect();
        let mut words = format!(
            "A circle of all hashes, clockwise from the top, with {}: each arc belongs to the shard of the next \
             virtual node. Shares: {}.",
            counted(self.now.len() as u64, "virtual node"),
            shares.join(", ")
        );
        if let Some(then) = self.then {
            let shares: Vec<String> =
                then.shares().into_iter().map(|(name, share)| format!("{name} {}", percent(share))).collect();
            let _ = write!(
                words,
                " After the change: {}; {} of all keys move.",
                shares.join(", "),
                percent(self.moved())
            );
        }
        for key in self.keys {
            let _ = write!(words, " Key {key} lies on {}.", self.now.locate(Position::of_key(key)).shard);
        }
        words
    }

    fn arcs(&self, palette: &Palette<'_>) -> String {
        let pieces = self.pieces();
        let told = pieces.len() <= TOLD_MAX;
        let mut out = String::new();
        let stays = |piece: &&SharedArc<'_>| self.then.is_some() && !piece.moves();
        for &name in palette.names() {
            let mine: Vec<&SharedArc<'_>> = pieces.iter().filter(|piece| piece.source == name).collect();
            let (staying, rest): (Vec<_>, Vec<_>) = mine.into_iter().partition(stays);
            for (class, pieces) in [("arcs stays", staying), ("arcs", rest)] {
                out += &band(class, palette, name, &pieces, told, BAND, &|piece| {
                    if piece.moves() {
                        format!("{} to {}", piece.source, piece.target)
                    } else {
                        name.to_string()
                    }
                });
            }
        }
        for &name in palette.names() {
            let coming: Vec<&SharedArc<'_>> =
                pieces.iter().filter(|piece| piece.moves() && piece.target == name).collect();
            out += &band("arcs moves", palette, name, &coming, told, MOVES, &|piece| {
                format!("{} to {}", piece.source, piece.target)
            });
        }
        out
    }

    /// The virtual nodes; those of shards that are to come, too.
    fn ticks(&self, palette: &Palette<'_>) -> String {
        let mut out = String::from("<g class=\"ticks\">\n");
        for &name in palette.names() {
            let ring =
                if self.now.shards().contains(name) { self.now } else { self.then.unwrap_or(self.now) };
            let nodes = ring.virtual_nodes().filter(|node| node.shard == name);
            let path: String = nodes
                .map(|node| {
                    let turn = turn(node.position);
                    format!("M{}L{}", at(point(turn, TICKS.0)), at(point(turn, TICKS.1)))
                })
                .collect();
            let _ = writeln!(
                out,
                "<path stroke=\"{}\" d=\"{path}\"><title>virtual nodes of {}</title></path>",
                palette.color(name),
                escaped(name.as_str())
            );
        }
        out + "</g>\n"
    }

    fn middle(&self) -> String {
        let (figure, first, second) = if self.then.is_some() {
            (percent(self.moved()), "of all keys move".to_owned(), "to another shard".to_owned())
        } else {
            let shards = self.now.shards().len() as u64;
            let word =
                counted(shards, "shard").split_once(' ').map_or(String::new(), |(_, word)| word.to_owned());
            let nodes = thousands(self.now.len() as u64);
            (thousands(shards), word, format!("{nodes} virtual nodes"))
        };
        format!(
            "<text class=\"large middle\" x=\"0\" y=\"-6\">{figure}</text>\n\
             <text class=\"middle\" x=\"0\" y=\"18\">{first}</text>\n\
             <text class=\"faint middle\" x=\"0\" y=\"38\">{second}</text>\n"
        )
    }

    fn labels(&self, palette: &Palette<'_>) -> Vec<KeyLabel> {
        let mut labels: Vec<KeyLabel> = self
            .keys
            .iter()
            .map(|key| {
                let position = Position::of_key(key);
                let node = self.now.locate(position);
                let owner = node.shard;
                let then = self.then.map(|then| then.owner(position)).filter(|then| *then != owner);
                let way = then.map_or_else(|| owner.to_string(), |then| format!("{owner} → {then}"));
                KeyLabel {
                    turn: turn(position),
                    node: turn(node.position),
                    height: point(turn(position), KEYS).1,
                    color: palette.color(owner),
                    text: format!(
                        "<tspan font-weight=\"600\">{}</tspan> {}",
                        shortened(key, KEY_CHARACTERS_MAX),
                        escaped(&way)
                    ),
                    title: format!(
                        "key {} at {position}, the point {}#{}",
                        escaped(key),
                        escaped(node.shard.as_str()),
                        node.index
                    ),
                }
            })
            .collect();
        labels.sort_by(|a, b| {
            a.is_right()
                .cmp(&b.is_right())
                .then(a.height.total_cmp(&b.height))
                .then(a.turn.total_cmp(&b.turn))
        });
        for side in labels.chunk_by_mut(|a, b| a.is_right() == b.is_right()) {
            let mut heights: Vec<f64> = side.iter().map(|label| label.height).collect();
            #[expect(clippy::cast_precision_loss, reason = "keys that were typed")]
            let most = (heights.len() as f64 * LINE / 2.0).max(KEYS);
            spread(&mut heights, LINE, most);
            for (label, height) in side.iter_mut().zip(heights) {
                label.height = height;
            }
        }
        labels
    }

    #[expect(clippy::cast_precision_loss, reason = "shards can be counted")]
    fn legend_lines(&self, palette: &Palette<'_>) -> f64 {
        palette.names().len() as f64 + if self.then.is_some() { 2.2 } else { 1.0 }
    }

    fn legend(&self, palette: &Palette<'_>, top: f64) -> String {
        let row = |out: &mut String, y: f64, class: &str, cells: [&str; 4]| {
            let y = number(y);
            let _ = write!(out, "<text class=\"{class}\" x=\"-218\" y=\"{y}\">{}</text>", cells[0]);
            for (x, cell) in [(70, cells[1]), (155, cells[2]), (240, cells[3])] {
                let _ = write!(out, "<text class=\"{class} end\" x=\"{x}\" y=\"{y}\">{cell}</text>");
            }
            out.push('\n');
        };
        let mut out = String::from("<g class=\"legend\">\n");
        let heads = match self.then {
            Some(_) => ["shard", "virtual nodes", "share now", "share then"],
            None => ["shard", "", "virtual nodes", "share"],
        };
        row(&mut out, top, "faint", heads);
        let _ = writeln!(out, "<path class=\"rule\" d=\"M-240 {0}H240\"/>", number(top + 6.0));
        let mut y = top;
        for &name in palette.names() {
            y += LINE;
            let _ = write!(
                out,
                "<rect x=\"-240\" y=\"{}\" width=\"14\" height=\"14\" rx=\"2\" fill=\"{}\"><title>{}</title></rect>",
                number(y - 8.0),
                palette.fill(name),
                escaped(name.as_str())
            );
            let ring = self.then.filter(|then| then.shards().contains(name)).unwrap_or(self.now);
            let nodes = thousands(ring.virtual_nodes().filter(|node| node.shard == name).count() as u64);
            let text = |ring: &Ring| ring.share(name).map_or_else(|| "–".to_owned(), percent);
            let label = shortened(name.as_str(), NAME_CHARACTERS_MAX);
            let (now, then) = (text(self.now), self.then.map(text));
            let cells = match &then {
                Some(then) => [&*label, &*nodes, &*now, &**then],
                None => [&*label, "", &*nodes, &*now],
            };
            row(&mut out, y + 4.0, "", cells);
        }
        if self.then.is_some() {
            let _ = writeln!(
                out,
                "<text class=\"faint\" x=\"-240\" y=\"{}\">{OUTER_BAND}</text>",
                number(y + LINE + 6.0)
            );
        }
        out + "</g>\n"
    }
}

/// Pieces of one look.
fn band(
    class: &str,
    palette: &Palette<'_>,
    name: &ShardName,
    pieces: &[&SharedArc<'_>],
    told: bool,
    (inner, outer): (f64, f64),
    words: &dyn Fn(&SharedArc<'_>) -> String,
) -> String {
    if pieces.is_empty() {
        return String::new();
    }
    let mut out = format!("<g class=\"{class}\" fill=\"{}\">\n", palette.fill(name));
    let shape = |piece: &SharedArc<'_>| sector(turns(piece.arc), inner, outer);
    if told {
        for piece in pieces {
            let _ = writeln!(
                out,
                "<path d=\"{}\"><title>{}: {}</title></path>",
                shape(piece),
                escaped(&words(piece)),
                percent(piece.arc.share())
            );
        }
    } else {
        let all: String = pieces.iter().map(|piece| shape(piece)).collect();
        let share = pieces.iter().fold(0.0, |sum, piece| sum + piece.arc.share());
        let _ = writeln!(
            out,
            "<path d=\"{all}\"><title>{}: {}</title></path>",
            escaped(name.as_str()),
            percent(share)
        );
    }
    out + "</g>\n"
}

/// A key beside the ring.
struct KeyLabel {
    /// Where the key lies.
    turn: f64,
    /// Where its owner's point lies.
    node: f64,
    height: f64,
    color: &'static str,
    /// Markup.
    text: String,
    /// Markup.
    title: String,
}

impl KeyLabel {
    fn is_right(&self) -> bool {
        self.turn < 0.5
    }

    fn draw(&self, out: &mut String) {
        let side = if self.is_right() { 1.0 } else { -1.0 };
        let dot: Point = point(self.turn, KEYS);
        let (knee, end) = ((side * (LABELS - 14.0), self.height), (side * (LABELS - 4.0), self.height));
        let class = if self.is_right() { "" } else { " class=\"end\"" };
        let _ = writeln!(
            out,
            "<g><title>{}</title><path class=\"leader\" d=\"M{}L{}L{}\"/><path class=\"way\" d=\"M{}L{}\"/>\
             <circle class=\"key\" cx=\"{}\" cy=\"{}\" r=\"4\"/><circle fill=\"{}\" cx=\"{}\" cy=\"{}\" r=\"2.5\"/>\
             <text{class} x=\"{}\" y=\"{}\">{}</text></g>",
            self.title,
            at(dot),
            at(knee),
            at(end),
            at(dot),
            at(point(self.node, TICKS.1)),
            number(dot.0),
            number(dot.1),
            self.color,
            number(dot.0),
            number(dot.1),
            number(side * LABELS),
            number(self.height + 4.5),
            self.text
        );
    }
}
