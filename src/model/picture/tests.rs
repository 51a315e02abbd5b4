use std::f64::consts::TAU;

use roxmltree::{Document, Node};

use super::page::{Fact, Page, RunFacts, ShardFacts};
use super::ring::{Frame, RingPicture};
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::position::Position;

/// Shards `shard_1` and so on with so many points each.
fn ring(shards: usize, points: u32) -> Ring {
    Ring::new((1..=shards).map(|number| (format!("shard_{number:02}").parse().unwrap(), points)))
}

fn picture<'a>(now: &'a Ring, then: Option<&'a Ring>, keys: &'a [String]) -> RingPicture<'a> {
    RingPicture { heading: "A ring & more", now, then, keys }
}

fn with_class<'a>(document: &'a Document<'a>, class: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document.descendants().filter(move |node| {
        node.attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
    })
}

/// How far round the outer edge of a path goes: the part of a turn that each of its subpaths covers, added up.
fn covered(path: &str) -> f64 {
    let mut sum = 0.0;
    for sector in path.split('Z').filter(|sector| !sector.is_empty()) {
        let (outer, _) = sector.strip_prefix('M').unwrap().split_once('L').unwrap();
        let mut stops = outer.split('A').map(|stop| {
            let numbers: Vec<f64> = stop.split(' ').map(|number| number.parse().unwrap()).collect();
            let [.., x, y] = numbers[..] else { panic!("{stop}") };
            x.atan2(-y).rem_euclid(TAU)
        });
        let mut from = stops.next().unwrap();
        for to in stops {
            // What the rounding of coordinates turns back counts as nothing.
            let step = (to - from).rem_euclid(TAU);
            sum += if step > TAU / 2.0 { step - TAU } else { step };
            from = to;
        }
    }
    sum / TAU
}

/// The parts of the circle that the shards' arcs cover in the picture, moved or not; and those of the outer band.
fn shares(svg: &str) -> (f64, f64) {
    let document = Document::parse(svg).unwrap();
    let sum = |of_moves: bool| {
        let bands = with_class(&document, "arcs").filter(|band| {
            band.attribute("class").unwrap().split(' ').any(|class| class == "moves") == of_moves
        });
        let paths = bands
            .flat_map(|band| band.children().filter(|child| child.has_tag_name("path")).collect::<Vec<_>>());
        paths.map(|path| covered(path.attribute("d").unwrap())).sum()
    };
    (sum(false), sum(true))
}

#[test]
fn the_arcs_cover_the_circle_once_and_the_outer_band_what_moves() {
    for (shards, points) in [(1, 1), (1, 100), (2, 1), (3, 100), (12, 40), (5, 700)] {
        let (now, then) = (ring(shards, points), ring(shards + 1, points));
        let (whole, moves) = shares(&picture(&now, None, &[]).svg(Frame::File));
        assert!((whole - 1.0).abs() < 0.001, "{shards} × {points}: {whole}");
        assert!(moves.abs() < 1e-9);
        let (whole, moves) = shares(&picture(&now, Some(&then), &[]).svg(Frame::File));
        assert!((whole - 1.0).abs() < 0.001, "{shards} × {points}: {whole}");
        let name: ShardName = format!("shard_{:02}", shards + 1).parse().unwrap();
        let share = then.shares().into_iter().find(|(of, _)| **of == name).unwrap().1;
        assert!((moves - share).abs() < 0.001, "{shards} × {points}: {moves} and {share}");
    }
}

#[test]
fn each_virtual_node_has_its_tick_and_each_shard_its_line() {
    let now = ring(12, 40);
    let svg = picture(&now, None, &[]).svg(Frame::File);
    let document = Document::parse(&svg).unwrap();
    let ticks = with_class(&document, "ticks").next().unwrap();
    let paths = ticks.descendants().filter_map(|node| node.attribute("d"));
    assert_eq!(paths.map(|path| path.matches('M').count()).sum::<usize>(), 480);
    let legend = with_class(&document, "legend").next().unwrap();
    let words: Vec<&str> = legend.descendants().filter_map(|node| node.text()).collect();
    for (name, share) in now.shares() {
        assert!(
            words.contains(&name.as_str()) && words.contains(&&*format!("{:.2} %", share * 100.0)),
            "{name}"
        );
    }
}

#[test]
fn keys_lie_where_they_hash_to() {
    let (now, then) = (ring(3, 100), ring(4, 100));
    let keys: Vec<String> =
        (0..60).map(|key| key.to_string()).chain(["<a href='x'>&\u{0}\u{1b}".to_owned()]).collect();
    let svg = picture(&now, Some(&then), &keys).svg(Frame::File);
    let document = Document::parse(&svg).unwrap();
    let dots: Vec<Node<'_, '_>> = with_class(&document, "key").collect();
    assert_eq!(dots.len(), keys.len());
    for dot in dots {
        let coordinate = |name| dot.attribute(name).unwrap().parse::<f64>().unwrap();
        let turn = coordinate("cx").atan2(-coordinate("cy")).rem_euclid(TAU) / TAU;
        let title = dot.parent().unwrap().descendants().find_map(|node| node.text()).unwrap();
        let (key, rest) = title.strip_prefix("key ").unwrap().split_once(" at ").unwrap();
        let key = keys.iter().find(|known| *known == key).map_or(&*keys[60], |key| &**key);
        let position = Position::of_key(key);
        assert!(rest.starts_with(&position.to_string()));
        #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
        let requested = position.number() as f64 / 2_f64.powi(128);
        assert!((turn - requested).abs() < 0.001, "{key}: {turn} and {requested}");
        let label = dot.parent().unwrap().descendants().filter_map(|node| node.text()).collect::<String>();
        assert!(
            label.contains(now.owner(position).as_str()) && label.contains(then.owner(position).as_str())
        );
    }
}

#[test]
fn a_small_ring_looks_like_this() {
    let (now, then) = (ring(2, 2), ring(3, 2));
    insta::assert_snapshot!(picture(&now, Some(&then), &["7".to_owned()]).svg(Frame::File));
}

/// A page with hostile words wherever words may stand.
fn page() -> String {
    let hostile = "<script>alert(\"x\")</script>' onload='y";
    let (now, then) = (ring(10, 20), ring(11, 20));
    let shards: Vec<ShardFacts> = then
        .shards()
        .iter()
        .enumerate()
        .map(|(at, name)| ShardFacts {
            name: name.clone(),
            state: if at == 3 { "down" } else { "active" },
            weight: Some(1.0),
            virtual_nodes: 20,
            share: 0.1,
            share_then: Some(0.09),
            rows: (at != 3).then(|| {
                let more = (0..40).map(|region| (Some(format!("R{region}")), 1));
                [(None, 5), (Some(hostile.to_owned()), 7)].into_iter().chain(more).collect()
            }),
        })
        .collect();
    let run = RunFacts {
        facts: vec![Fact { name: hostile.to_owned(), value: hostile.to_owned(), is_bad: true }],
        seconds: vec![(5, 0), (1, 4)],
        heads: vec![hostile.to_owned(), "figure".to_owned()],
        names: 1,
        rows: vec![vec![hostile.to_owned(), "1".to_owned()]],
    };
    let page = Page {
        cluster: Some(hostile),
        epoch: 3,
        made: hostile,
        version: hostile,
        picture: picture(&now, Some(&then), &[]),
        shards: &shards,
        missing: &[hostile.to_owned()],
        load: Some(&run),
        rebalance: None,
    };
    page.html()
}

#[test]
fn a_page_fetches_nothing_and_runs_nothing_whatever_it_is_told() {
    let html = page();
    for word in ["<script", "http:", "https:", "src=", "href=", "@import", "<link", "<iframe", "onload='"] {
        assert!(!html.to_lowercase().contains(word), "{word}");
    }
    // `url()` leads to a texture within the page and nowhere else.
    assert!(html.matches("url(").count() == html.matches("url(#shard-").count());
    for id in ["shard-8", "shard-9", "shard-10"] {
        assert!(
            html.contains(&format!("fill=\"url(#{id})\"")) && html.contains(&format!("<pattern id=\"{id}\""))
        );
    }
    // Each element is closed: but for the head's it is XML.
    let body = &html[html.find("<body>").unwrap()..html.find("</html>").unwrap()];
    let body = Document::parse(body).unwrap_or_else(|why| panic!("{why}\n{body}"));
    let texts: Vec<&str> = body.descendants().filter_map(|node| node.text()).collect();
    assert!(texts.contains(&"<script>alert(\"x\")</script>' onload='y"));
    // Thirty regions have a line, the last one for all that are left.
    assert!(texts.contains(&"13 more"), "{texts:?}");
}
