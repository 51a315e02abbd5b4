//! `ring show --svg` and `report`: the files, and what they show of a real cluster.

use roxmltree::Document;

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::rebalances::add_shard;
use crate::support::rings::{owner, prototype_ring};

fn read(test: &Test, name: &str) -> String {
    std::fs::read_to_string(test.home.path().join(name)).unwrap()
}

/// All texts of a picture or of the body of a page.
fn texts(markup: &str) -> Vec<String> {
    let body = match (markup.find("<body>"), markup.find("</html>")) {
        (Some(begin), Some(end)) => &markup[begin..end],
        _ => markup,
    };
    let document = Document::parse(body).unwrap_or_else(|why| panic!("{why}: {body}"));
    document
        .descendants()
        .filter(roxmltree::Node::is_text)
        .map(|node| node.text().unwrap().to_owned())
        .collect()
}

/// The cells of the table row whose first cell is this one.
#[track_caller]
fn line(page: &str, first: &str) -> Vec<String> {
    let body = &page[page.find("<body>").unwrap()..page.find("</html>").unwrap()];
    let document = Document::parse(body).unwrap();
    let cells = |row: roxmltree::Node<'_, '_>| -> Vec<String> {
        let cells = row.children().filter(roxmltree::Node::is_element);
        let own = |cell: roxmltree::Node<'_, '_>| {
            let texts = cell
                .descendants()
                .filter(|node| node.is_text() && !node.ancestors().any(|above| above.has_tag_name("title")));
            texts.filter_map(|node| node.text()).collect::<String>().trim().to_owned()
        };
        cells.map(own).collect()
    };
    let mut rows = document.descendants().filter(|node| node.has_tag_name("tr")).map(cells);
    rows.find(|row| row.first().is_some_and(|cell| cell == first))
        .unwrap_or_else(|| panic!("no line `{first}`"))
}

#[test]
fn the_svg_shows_the_ring_and_the_effect_of_a_change() {
    let test = Test::initialised();
    test.run(&["ring", "show", "--svg", "ring.svg"]).success().says("wrote the ring to");
    let svg = read(&test, "ring.svg");
    let shown = texts(&svg);
    for (name, share) in prototype_ring(3).shares() {
        assert!(
            shown.contains(&name.to_string()) && shown.contains(&format!("{:.2} %", share * 100.0)),
            "{shown:?}"
        );
    }
    assert!(shown.contains(&"300 virtual nodes".to_owned()));
    // Standard output receives the same and nothing else.
    assert_eq!(test.run(&["ring", "show", "--svg", "-"]).success().stdout, svg);
    let words = ["ring", "show", "--svg", "-", "--add", "shard_4", "--keys", "1,EU,-7"];
    let shown = texts(&test.run(&words).success().stdout);
    assert!(shown.contains(&"22.93 %".to_owned()) && shown.contains(&"of all keys move".to_owned()));
    assert!(shown.iter().any(|text| text.contains("shard_1 to shard_4: ")));
    assert!(shown.contains(&"EU".to_owned()) && shown.contains(&"-7".to_owned()));
    assert!(shown.iter().any(|text| text.trim() == format!("shard_{}", owner(1))));
    // The desired topology is drawn by default; the flags take precedence.
    add_shard(&test, 4).success();
    let shown = texts(&test.run(&["ring", "show", "--svg", "-"]).success().stdout);
    assert!(shown.contains(&"22.93 %".to_owned()));
    let shown = texts(&test.run(&["ring", "show", "--svg", "-", "--remove", "shard_1"]).success().stdout);
    assert!(shown.contains(&"30.41 %".to_owned()) && !shown.contains(&"22.93 %".to_owned()));
}

#[test]
fn an_impossible_picture_is_refused_and_leaves_no_file() {
    let test = Test::initialised();
    test.run(&["ring", "show", "--keys", "1"]).fails(2).says("add --svg");
    test.run(&["ring", "show", "--add", "shard_4"]).fails(2).says("add --svg");
    test.run(&["ring", "show", "--svg", "x.svg", "--vnodes"]).fails(2);
    test.run(&["ring", "show", "--svg", "x.svg", "--add", "shard_1"]).fails(5);
    test.run(&["ring", "show", "--svg", "x.svg", "--remove", "shard_9"]).fails(4);
    test.run(&["ring", "show", "--svg", "x.svg", "--add", "shard_4:0"]).fails(2);
    test.run(&["ring", "show", "--svg", "no/such/x.svg"]).fails(1).says("cannot write `no/such/x.svg`");
    test.run(&["report", "no/such/x.html"]).fails(1).says("cannot write `no/such/x.html`");
    let left = std::fs::read_dir(test.home.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('x')));
}

#[test]
fn the_report_counts_users_by_region_and_shard() {
    let test = filled(900);
    test.execute(1, "UPDATE users SET region = '<script>alert(1)</script>' WHERE region IS NOT NULL");
    test.run(&["report", "page.html"]).success().says("open it in a browser");
    let page = read(&test, "page.html");
    for word in ["<script", "http:", "https:", "src=", "href="] {
        assert!(!page.contains(word), "{word}");
    }
    for number in 1..=3 {
        let cells = line(&page, &format!("shard_{number}"));
        assert_eq!(cells[1], "active");
        assert_eq!(cells[6], test.ids(number).len().to_string(), "{cells:?}");
    }
    let hostile = line(&page, "<script>alert(1)</script>");
    assert_eq!((hostile[2].as_str(), hostile[3].as_str()), ("0", "0"));
    assert_eq!(hostile[1], hostile[4]);
    let shown = texts(&page);
    assert!(
        shown.contains(&test.cluster_id(1)) && shown.iter().any(|text| text.starts_with("No load run yet"))
    );
    assert!(shown.iter().any(|text| text.starts_with("None that this computer knows of")));
    assert_eq!(texts(&test.run(&["report", "-"]).success().stdout).len(), shown.len());
}

#[test]
fn the_report_shows_the_last_load_run_and_rebalance() {
    let test = filled(300);
    add_shard(&test, 4).success();
    test.run(&["report", "page.html"]).success();
    assert_eq!(line(&read(&test, "page.html"), "shard_4")[1], "joining");
    test.run(&["rebalance", "-y"]).success();
    let state = test.home.path().join("state");
    let load = state.join(format!("load-{}.json", test.cluster_id(1)));
    std::fs::write(
        &load,
        r#"{"operations": 81234, "mix": "get=100", "by_operation": [{"operation": "get", "count": 5}]}"#,
    )
    .unwrap();
    test.run(&["report", "page.html"]).success();
    let page = read(&test, "page.html");
    let shown = texts(&page);
    assert!(shown.contains(&"81,234".to_owned()) && shown.contains(&"get=100".to_owned()));
    assert!(shown.contains(&"each user on its owner and nowhere else".to_owned()));
    let moved: i64 = (1..=3)
        .map(|number| {
            let mut cells = texts_of_flow(&page, number);
            assert_eq!(cells.remove(0), "shard_4");
            cells[0].parse::<i64>().unwrap()
        })
        .sum();
    assert_eq!(usize::try_from(moved).unwrap(), test.ids(4).len());
    // An invalid file is ignored.
    std::fs::write(&load, "[1, ").unwrap();
    test.run(&["report", "page.html"]).success();
    assert!(texts(&read(&test, "page.html")).iter().any(|text| text.starts_with("No load run yet")));
}

/// The row of what left a shard, without the shard's name.
fn texts_of_flow(page: &str, number: usize) -> Vec<String> {
    let flows = &page[page.find("Last rebalance").unwrap()..];
    let body = format!("<body>{}", &flows[flows.find("<dl>").unwrap()..flows.find("</section>").unwrap()]);
    let page = format!("{body}</body></html>");
    line(&page, &format!("shard_{number}")).split_off(1)
}

#[test]
fn the_report_names_a_down_joining_shard() {
    let test = filled(50);
    add_shard(&test, 4).success();
    test.allow(4, false);
    let ran = test.run(&["report", "page.html"]).success();
    assert!(ran.stderr.contains("`shard_4`"), "{ran:?}");
    let row = line(&read(&test, "page.html"), "shard_4");
    assert_eq!((row[1].as_str(), row[6].as_str()), ("down", "–"));
}

#[test]
fn the_report_names_a_down_shard_and_shows_the_others() {
    let test = filled(300);
    test.allow(2, false);
    let ran = test.run(&["report", "page.html"]);
    test.allow(2, true);
    ran.fails(6).says("`shard_2` (33.05 % of the ring)");
    let page = read(&test, "page.html");
    let shown = texts(&page);
    assert!(shown.iter().any(|text| text.contains("not currently accepting connections")));
    assert!(shown.iter().any(|text| text.contains("what lies on a shard that is down is left out")));
    let (down, up) = (line(&page, "shard_2"), line(&page, "shard_3"));
    assert_eq!((down[1].as_str(), down[6].as_str()), ("down", "–"));
    assert_eq!((up[1].as_str(), up[6].clone()), ("active", test.ids(3).len().to_string()));
}
