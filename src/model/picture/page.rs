//! A cluster as one page of HTML: nothing is fetched, and no script runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markup::{escaped, number, percent};
use super::palette::Palette;
use super::ring::{Frame, OUTER_BAND, RingPicture, STYLE};
use crate::model::names::ShardName;
use crate::model::text::thousands;

/// The most regions that have a line of their own.
const REGIONS_MAX: usize = 30;
/// How many units wide a bar is drawn.
const BAR: f64 = 1_000.0;

const PAGE_STYLE: &str = include_str!("page.css");

/// One shard, as far as it is known.
#[derive(Debug, Clone)]
pub struct ShardFacts {
    /// Its name.
    pub name: ShardName,
    /// `active`, `joining`, `leaving` or `down`.
    pub state: &'static str,
    /// Its weight.
    pub weight: Option<f64>,
    /// Its virtual nodes.
    pub virtual_nodes: u32,
    /// Its share of the ring, 0 to 1.
    pub share: f64,
    /// Its share of the ring that is to follow, 0 to 1.
    pub share_then: Option<f64>,
    /// How many users of each region lie there; `None` if it could not be asked.
    pub rows: Option<Vec<(Option<String>, i64)>>,
}

impl ShardFacts {
    fn sum(&self) -> Option<u64> {
        let rows = self.rows.as_ref()?;
        Some(rows.iter().map(|(_, rows)| rows.unsigned_abs()).sum())
    }
}

/// A fact about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it tells of something wrong.
    pub is_bad: bool,
}

/// What a run left behind: facts, a table, and what it did over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// For each second of it: how many operations were answered, and how many failed.
    pub seconds: Vec<(u64, u64)>,
    /// The heads of the table.
    pub heads: Vec<String>,
    /// How many columns, from the left, are names; the others are figures.
    pub names: usize,
    /// The rows, of as many cells as there are heads.
    pub rows: Vec<Vec<String>>,
}

/// All that the page shows.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// The cluster's id, if it is known.
    pub cluster: Option<&'a str>,
    /// The epoch of its topology.
    pub epoch: i64,
    /// When the page was made.
    pub made: &'a str,
    /// The version of the program that made it.
    pub version: &'a str,
    /// The ring.
    pub picture: RingPicture<'a>,
    /// The shards, sorted by name.
    pub shards: &'a [ShardFacts],
    /// What is missing, a sentence each.
    pub missing: &'a [String],
    /// The last run of `load`.
    pub load: Option<&'a RunFacts>,
    /// The last run of `rebalance`.
    pub rebalance: Option<&'a RunFacts>,
}

impl Page<'_> {
    /// The page as HTML.
    pub fn html(&self) -> String {
        let palette = self.picture.palette();
        let cluster = self.cluster.map_or_else(|| "unknown".to_owned(), escaped);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>ringshard: cluster {cluster}</title>\n\
             <style>\n{STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>ringshard report</h1>\n\
             <p>Cluster <code>{cluster}</code>, epoch {}, made {}</p>\n</header>\n",
            self.epoch,
            escaped(self.made)
        );
        if !self.missing.is_empty() {
            out += "<section class=\"warning\">\n<h2>Not all is here</h2>\n<ul>\n";
            for words in self.missing {
                let _ = writeln!(out, "<li>{}</li>", escaped(words));
            }
            out += "</ul>\n</section>\n";
        }
        let caption = self.picture.then.map(|_| format!("<figcaption>{OUTER_BAND}</figcaption>\n"));
        let picture = self.picture.svg(Frame::Page);
        let _ = write!(out, "<figure>\n{picture}{}</figure>\n", caption.unwrap_or_default());
        out += &self.shares(&palette);
        out += &self.regions(&palette);
        out += &run("Last load run", self.load, "No load run yet: <code>ringshard load run</code>");
        out += &run(
            "Last rebalance",
            self.rebalance,
            "None that this computer knows of: <code>ringshard rebalance</code>",
        );
        let _ =
            write!(out, "<footer>ringshard {}</footer>\n</main>\n</body>\n</html>\n", escaped(self.version));
        out
    }

    /// How many users are known of.
    fn total(&self) -> u64 {
        self.shards.iter().filter_map(ShardFacts::sum).sum()
    }

    /// What each shard is to have, and what it has.
    fn shares(&self, palette: &Palette<'_>) -> String {
        let total = self.total();
        let is_changing = self.shards.iter().any(|shard| shard.share_then.is_some());
        let parts = |shard: &ShardFacts| shard.sum().filter(|_| total > 0).map(|rows| part(rows, total));
        let most = self
            .shards
            .iter()
            .flat_map(|shard| [Some(shard.share), shard.share_then, parts(shard)])
            .flatten()
            .fold(0.01, f64::max);
        let then = if is_changing { "<th class=\"figure\">then</th>" } else { "" };
        let mut out = format!(
            "<section>\n<h2>Shards</h2>\n<p>{} users. Desired is a shard's share of the ring, {}real its share of the \
             users{}.</p>\n<div class=\"scroll\">\n<table>\n<thead><tr><th>shard</th><th>state</th>\
             <th class=\"figure\">weight</th><th class=\"figure\">virtual nodes</th><th class=\"figure\">desired</th>{then}\
             <th class=\"figure\">real</th><th class=\"figure\">users</th><th class=\"wide\">real, and a mark for {}</th>\
             </tr></thead>\n<tbody>\n",
            thousands(total),
            if is_changing { "then its share after the change that is planned, " } else { "" },
            if self.shards.iter().any(|shard| shard.rows.is_none()) {
                ", as far as they could be counted: what lies on a shard that is down is left out"
            } else {
                ""
            },
            if is_changing { "then" } else { "desired" }
        );
        for shard in self.shards {
            let real = parts(shard);
            let class = if shard.state == "down" { " class=\"down\"" } else { "" };
            let _ = write!(
                out,
                "<tr{class}><th scope=\"row\">{} {}</th><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
                 <td class=\"figure\">{}</td>",
                swatch(palette, &shard.name),
                escaped(shard.name.as_str()),
                shard.state,
                shard.weight.map_or_else(dash, |weight| format!("{weight:.2}")),
                thousands(shard.virtual_nodes.into()),
                percent(shard.share)
            );
            if is_changing {
                let then = shard.share_then.map_or_else(dash, percent);
                let _ = write!(out, "<td class=\"figure\">{then}</td>");
            }
            let requested = shard.share_then.unwrap_or(shard.share);
            let _ = writeln!(
                out,
                "<td class=\"figure\">{}</td><td class=\"figure\">{}</td><td class=\"wide\">{}</td></tr>",
                real.map_or_else(dash, percent),
                shard.sum().map_or_else(dash, thousands),
                beside(palette, &shard.name, real, requested, most)
            );
        }
        out + "</tbody>\n</table>\n</div>\n</section>\n"
    }

    /// How many users of each region lie on each shard.
    fn regions(&self, palette: &Palette<'_>) -> String {
        let mut regions: BTreeMap<Option<&str>, BTreeMap<&ShardName, u64>> = BTreeMap::new();
        for shard in self.shards {
            for (region, rows) in shard.rows.iter().flatten() {
                *regions.entry(region.as_deref()).or_default().entry(&shard.name).or_default() +=
                    rows.unsigned_abs();
            }
        }
        let mut lines: Vec<(String, BTreeMap<&ShardName, u64>)> = regions
            .into_iter()
            .map(|(region, rows)| (region.map_or_else(|| "<i>no region</i>".to_owned(), escaped), rows))
            .collect();
        lines.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.values().sum::<u64>()));
        if lines.len() > REGIONS_MAX {
            let rest = lines.split_off(REGIONS_MAX - 1);
            let mut sums: BTreeMap<&ShardName, u64> = BTreeMap::new();
            for (name, rows) in rest.iter().flat_map(|(_, rows)| rows) {
                *sums.entry(name).or_default() += rows;
            }
            lines.push((format!("<i>{} more</i>", thousands(rest.len() as u64)), sums));
        }
        let mut out = String::from("<section>\n<h2>Users by region and shard</h2>\n");
        if lines.is_empty() {
            return out + "<p>There are no users.</p>\n</section>\n";
        }
        out += "<div class=\"scroll\">\n<table>\n<thead><tr><th>region</th>";
        for shard in self.shards {
            let _ = write!(
                out,
                "<th class=\"figure\">{} {}</th>",
                swatch(palette, &shard.name),
                escaped(shard.name.as_str())
            );
        }
        out += "<th class=\"figure\">all</th><th class=\"wide\">in colours</th></tr></thead>\n<tbody>\n";
        let most = lines.iter().map(|(_, rows)| rows.values().sum()).max().unwrap_or(1);
        for (region, rows) in &lines {
            let _ = write!(out, "<tr><th scope=\"row\">{region}</th>");
            for shard in self.shards {
                let known = shard.rows.as_ref().map(|_| rows.get(&shard.name).copied().unwrap_or_default());
                let _ = write!(out, "<td class=\"figure\">{}</td>", known.map_or_else(dash, thousands));
            }
            let _ = writeln!(
                out,
                "<td class=\"figure\">{}</td><td class=\"wide\">{}</td></tr>",
                thousands(rows.values().sum()),
                stacked(palette, rows, most)
            );
        }
        out + "</tbody>\n</table>\n</div>\n</section>\n"
    }
}

fn dash() -> String {
    "–".to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn part(rows: u64, of: u64) -> f64 {
    rows as f64 / of.max(1) as f64
}

/// A shard's look, beside its name.
fn swatch(palette: &Palette<'_>, name: &ShardName) -> String {
    let fill = palette.fill(name);
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect width=\"12\" height=\"12\" rx=\"2\" fill=\"{fill}\"/></svg>"
    )
}

fn bar(words: &str, inside: &str) -> String {
    let words = escaped(words);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 16\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\">{inside}</svg>"
    )
}

/// A bar for what is real, and a mark for what is requested.
fn beside(palette: &Palette<'_>, name: &ShardName, real: Option<f64>, requested: f64, most: f64) -> String {
    let words = match real {
        Some(real) => format!("{name}: real {}, desired {}", percent(real), percent(requested)),
        None => format!("{name}: real not known, desired {}", percent(requested)),
    };
    // Room for the mark where it is the longest of all.
    let along = |share: f64| number(share / most * BAR * 0.99);
    let inside = format!(
        "<title>{}</title><rect y=\"2\" width=\"{}\" height=\"12\" fill=\"{}\"/><path class=\"mark\" d=\"M{} 0V16\"/>",
        escaped(&words),
        along(real.unwrap_or_default()),
        palette.fill(name),
        along(requested)
    );
    bar(&words, &inside)
}

/// A bar for each shard's part, one behind the other.
fn stacked(palette: &Palette<'_>, rows: &BTreeMap<&ShardName, u64>, most: u64) -> String {
    let mut inside = String::new();
    let mut words = Vec::new();
    let mut from = 0.0;
    for (name, rows) in rows.iter().filter(|(_, rows)| **rows > 0) {
        let width = part(*rows, most) * BAR;
        let told = format!("{name}: {}", thousands(*rows));
        let _ = write!(
            inside,
            "<rect class=\"piece\" x=\"{}\" y=\"2\" width=\"{}\" height=\"12\" fill=\"{}\"><title>{}</title></rect>",
            number(from),
            number(width),
            palette.fill(name),
            escaped(&told)
        );
        words.push(told);
        from += width;
    }
    bar(&words.join(", "), &inside)
}

/// A bar for each second: what was answered, and on top of it what failed.
fn over_time(seconds: &[(u64, u64)]) -> String {
    let most = seconds.iter().map(|(answered, failed)| answered + failed).max().unwrap_or(0);
    if seconds.len() < 2 || most == 0 {
        return String::new();
    }
    let width = BAR / part(seconds.len() as u64, 1);
    let mut inside = String::new();
    for (at, (answered, failed)) in (0_u64..).zip(seconds) {
        let told = format!("second {}: {}, errors: {}", at + 1, thousands(*answered), thousands(*failed));
        let _ = write!(inside, "<g><title>{}</title>", escaped(&told));
        let mut below = 0.0;
        for (class, count) in
            [("answered", *answered), ("failed", *failed)].into_iter().filter(|(_, count)| *count > 0)
        {
            let height = part(count, most) * BAR / 10.0;
            below += height;
            let _ = write!(
                inside,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                number(part(at, 1) * width),
                number(BAR / 10.0 - below),
                number(width * 0.9),
                number(height)
            );
        }
        inside += "</g>";
    }
    let words = format!(
        "operations in each of {} seconds, at most {}",
        thousands(seconds.len() as u64),
        thousands(most)
    );
    format!(
        "<figure class=\"time\">\n<svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\">{inside}\
         </svg>\n<figcaption>{words}</figcaption>\n</figure>\n"
    )
}

fn run(heading: &str, facts: Option<&RunFacts>, none: &str) -> String {
    let mut out = format!("<section>\n<h2>{heading}</h2>\n");
    let Some(RunFacts { facts, seconds, heads, names, rows }) = facts else {
        return out + &format!("<p>{none}</p>\n</section>\n");
    };
    out += "<dl>\n";
    for Fact { name, value, is_bad } in facts {
        let class = if *is_bad { " class=\"bad\"" } else { "" };
        let _ = writeln!(out, "<div{class}><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(value));
    }
    out += "</dl>\n";
    out += &over_time(seconds);
    if !rows.is_empty() {
        let cells = |cells: &[String], tag: &str| -> String {
            let cell = |(at, text): (usize, &String)| {
                let class = if at < *names { "" } else { " class=\"figure\"" };
                format!("<{tag}{class}>{}</{tag}>", escaped(text))
            };
            cells.iter().enumerate().map(cell).collect()
        };
        let _ = write!(
            out,
            "<div class=\"scroll\">\n<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
            cells(heads, "th")
        );
        for row in rows {
            let _ = writeln!(out, "<tr>{}</tr>", cells(row, "td"));
        }
        out += "</tbody>\n</table>\n</div>\n";
    }
    out + "</section>\n"
}
