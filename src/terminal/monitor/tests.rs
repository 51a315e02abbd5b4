//! Tests of the screen, drawn from samples alone: no server, no clock.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::draw::draw;
use super::keys::{Act, Key};
use super::state::{Mode, MonitorState, Screen, SortColumn};
use super::text::users_in;
use super::theme::Theme;
use crate::commands::monitoring::monitor::MonitorSample;
use crate::error::{Error, Kind};
use crate::model::host::{DiskSpace, HostSample, Processes, Throughput};
use crate::model::names::ShardName;
use crate::model::rebalance::plan::Load;
use crate::model::rebalance::{Change, RingState};
use crate::model::ring::topology::{Epoch, Topology};
use crate::model::stats::{Activity, ClientSession, Counters, Moves, Replication, Runner, Sample, Standby};

const PLAIN: Theme = Theme { color: false, unicode: true };

fn names(count: usize) -> Vec<ShardName> {
    (1..=count).map(|number| format!("shard_{number}").parse().unwrap()).collect()
}

fn topology(count: usize) -> Topology {
    Topology::of_equals(100, names(count)).unwrap()
}

/// A sample of a shard after so many seconds.
fn sample(number: usize, seconds: u32) -> Sample {
    let (number, time) = (i64::try_from(number).unwrap(), i64::from(seconds));
    Sample {
        at_seconds: 1e9 + f64::from(seconds),
        counting_since: (1e9, None),
        latency_ms: 0.2 * f64::from(seconds % 3 + 1),
        is_standby: false,
        rows: Some(100_000 * number + time),
        size_bytes: Some(20_000_000 * number),
        connections: 7 + number,
        connections_allowed: 97,
        counters: Counters {
            // More each second, which makes a trend.
            commits: 50 * number * time * time,
            rollbacks: 0,
            blocks_hit: 995 * time,
            blocks_read: 5 * time,
            deadlocks: 0,
            temp_bytes: 0,
            wal_bytes: Some(120_000 * time),
        },
        replication: Replication::default(),
        data_folder: None,
        ring: RingState { epoch: Epoch::FIRST, topology: topology(3), change: None, desired_topology: None },
        moves: None,
        activity: None,
    }
}

fn receive(state: &mut MonitorState, number: usize, sample: Result<Sample, Error>) {
    let name = names(number).pop().unwrap();
    state.receive(MonitorSample::Shard(name, Box::new(sample)));
}

fn host(seconds: u32) -> MonitorSample {
    let flow = Throughput { in_bytes_per_second: Some(1_200.0), out_bytes_per_second: Some(34_000.0) };
    let room = |used_bytes, total_bytes| DiskSpace { used_bytes, total_bytes };
    MonitorSample::Host(HostSample {
        cores: 2,
        cpu_share: (seconds > 0).then(|| f64::from(seconds) / 20.0),
        memory: room(1_200_000_000, 4_000_000_000),
        swap: room(0, 1_000_000_000),
        disks: vec![("/var/lib/postgresql/14/main".into(), room(95_000_000_000, 100_000_000_000))],
        networks: vec![("eth0".into(), flow), ("lo".into(), flow)],
        postgres: Processes { count: 23, cores_busy: Some(0.41), memory_bytes: 345_000_000, disk: flow },
        ringshard: Processes { count: 1, cores_busy: Some(0.02), memory_bytes: 21_000_000, disk: flow },
    })
}

/// Three shards after ten seconds.
fn watched() -> MonitorState {
    let mut state = MonitorState::new(names(3), Duration::from_secs(1));
    for seconds in 0..=10 {
        state.tick(Duration::from_secs(seconds.into()));
        for number in 1..=3 {
            receive(&mut state, number, Ok(sample(number, seconds)));
        }
        state.receive(host(seconds));
    }
    state
}

fn down() -> Error {
    Error::new(
        Kind::Unreachable,
        "cannot connect to shard `shard_2` at postgresql://h:1/d: Connection refused",
    )
}

/// The same, with the second one down for four seconds.
fn one_down() -> MonitorState {
    let mut state = watched();
    for seconds in 11..=15 {
        state.tick(Duration::from_secs(seconds.into()));
        receive(&mut state, 1, Ok(sample(1, seconds)));
        receive(&mut state, 2, Err(down()));
        receive(&mut state, 3, Ok(sample(3, seconds)));
        state.receive(host(seconds));
    }
    state
}

/// A fourth shard is joining: half of its users have moved.
fn changing() -> MonitorState {
    let mut state = MonitorState::new(names(3), Duration::from_millis(500));
    let change = Change { next_topology: topology(4), participants: names(4) };
    let total = Load { rows: 80_000, bytes: 5_000_000 };
    let runner = Runner {
        name: "process 4711 on db-host".into(),
        is_at_work: true,
        phase: "moving".into(),
        phase_seconds: 5,
        seconds: 7,
        total,
    };
    for seconds in 0..=10 {
        state.tick(Duration::from_secs(seconds.into()));
        for number in 1..=4 {
            let mut sample = sample(number, seconds);
            sample.ring.epoch = Epoch::new(2);
            sample.ring.change = Some(change.clone());
            let load = Load { rows: 2_000 * u64::from(seconds), bytes: 130_000 * u64::from(seconds) };
            let arrived =
                if number == 4 { vec![("shard_1".into(), load), ("shard_3".into(), load)] } else { vec![] };
            sample.moves = Some(Moves { arrived, runner: (number == 1).then(|| runner.clone()) });
            receive(&mut state, number, Ok(sample));
        }
    }
    state
}

/// The screen, line by line.
fn drawn(state: &MonitorState, width: u16, height: u16, theme: Theme) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, theme)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

fn press(state: &mut MonitorState, keys: &str) {
    for key in keys.chars() {
        state.press(Key::Char(key));
    }
}

#[test]
fn each_view_on_a_usual_screen() {
    for (name, mut state) in [("watched", watched()), ("down", one_down()), ("changing", changing())] {
        for (key, view) in [('1', "shards"), ('2', "ring"), ('3', "rebalance"), ('4', "host")] {
            press(&mut state, &key.to_string());
            insta::assert_snapshot!(format!("{name}_{view}"), drawn(&state, 80, 24, PLAIN));
        }
    }
}

#[test]
fn large_small_and_without_unicode() {
    insta::assert_snapshot!("large", drawn(&one_down(), 120, 40, PLAIN));
    insta::assert_snapshot!("narrow", drawn(&changing(), 40, 12, PLAIN));
    insta::assert_snapshot!("low", drawn(&one_down(), 80, 10, PLAIN));
    insta::assert_snapshot!("ascii", drawn(&one_down(), 80, 24, Theme { unicode: false, ..PLAIN }));
    insta::assert_snapshot!("too_small", drawn(&watched(), 39, 9, PLAIN));
    insta::assert_snapshot!(
        "no_samples",
        drawn(&MonitorState::new(names(3), Duration::from_secs(1)), 80, 24, PLAIN)
    );
    let mut state = watched();
    press(&mut state, "?");
    insta::assert_snapshot!("help", drawn(&state, 80, 24, PLAIN));
}

#[test]
fn a_standby_that_lags_has_a_column() {
    let mut state = watched();
    let mut behind = sample(2, 11);
    behind.replication = Replication { replicas: 1, lag_bytes: Some(3_200_000), lag_seconds: Some(0.4) };
    assert!(!drawn(&state, 80, 24, PLAIN).contains("lag"));
    receive(&mut state, 2, Ok(behind));
    let text = drawn(&state, 80, 24, PLAIN);
    let line = text.lines().find(|line| line.contains("shard_2")).unwrap();
    assert!(text.contains(" lag") && line.contains("3.1 MiB"), "{text}");
}

/// Drawing never panics, and in ASCII it writes only ASCII.
#[test]
fn any_size_will_do() {
    for mut state in [watched(), one_down(), changing()] {
        for view in 1..=4 {
            press(&mut state, &view.to_string());
            for (width, height) in
                [(1, 1), (40, 10), (41, 11), (59, 13), (80, 24), (200, 60), (500, 3), (3, 500)]
            {
                let text = drawn(&state, width, height, Theme { color: true, unicode: false });
                assert!(text.is_ascii(), "{text}");
                assert!(text.lines().all(|line| line.len() <= usize::from(width)), "{text}");
            }
        }
    }
}

#[test]
fn colours_only_if_requested() {
    let colors = |theme| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &one_down(), theme)).unwrap();
        let cells = terminal.backend().buffer().content().to_vec();
        cells.into_iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colors(PLAIN), 0);
    assert!(colors(Theme { color: true, unicode: true }) > 50);
}

#[test]
fn keys_do_what_help_says() {
    let mut state = watched();
    for (key, view) in
        [('2', Screen::Ring), ('3', Screen::Rebalance), ('4', Screen::Host), ('1', Screen::Shards)]
    {
        press(&mut state, &key.to_string());
        assert_eq!(state.view, view);
    }
    state.press(Key::Tab);
    assert_eq!(state.view, Screen::Ring);
    state.press(Key::BackTab);
    state.press(Key::BackTab);
    assert_eq!(state.view, Screen::Host);
    assert_eq!(state.press(Key::Char('+')), Act::SetInterval(Duration::from_secs(2)));
    assert_eq!(state.press(Key::Char('-')), Act::SetInterval(Duration::from_secs(1)));
    for key in [Key::Char('q'), Key::Escape, Key::CtrlC] {
        assert_eq!(state.press(key), Act::Leave);
    }
    // Any other key closes the help.
    press(&mut state, "?3");
    assert_eq!((state.mode, state.view), (Mode::Normal, Screen::Host));
    press(&mut state, "?");
    assert_eq!(state.press(Key::Char('q')), Act::Leave);
}

#[test]
fn the_interval_has_its_limits() {
    let mut state = MonitorState::new(names(1), Duration::from_millis(300));
    assert_eq!(state.press(Key::Char('+')), Act::SetInterval(Duration::from_millis(500)));
    for _ in 0..20 {
        state.press(Key::Char('-'));
    }
    assert_eq!(state.interval, Duration::from_millis(100));
    for _ in 0..20 {
        state.press(Key::Char('+'));
    }
    assert_eq!(state.interval, Duration::from_mins(1));
}

#[test]
fn sorted_by_any_column_with_unknown_values_at_the_end() {
    let mut state = one_down();
    let order =
        |state: &MonitorState| state.shown().iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(order(&state), ["shard_1", "shard_2", "shard_3"]);
    press(&mut state, "r");
    assert_eq!(order(&state), ["shard_3", "shard_2", "shard_1"]);
    press(&mut state, "ss");
    assert_eq!(state.sort, SortColumn::Rows);
    assert_eq!(order(&state), ["shard_3", "shard_1", "shard_2"], "down has no rows");
    press(&mut state, "r");
    assert_eq!(order(&state), ["shard_1", "shard_3", "shard_2"], "also in reverse");
}

#[test]
fn a_shard_that_is_back_goes_on() {
    let mut state = one_down();
    let name = &names(2)[1];
    let (since, why) = state.down(&state.shards[name]).unwrap();
    assert_eq!((since, why.as_str()), (Duration::from_secs(4), "Connection refused"));
    assert_eq!((state.state(name, &state.shards[name]), state.up()), ("down", 2));
    let mut restarted = sample(2, 16);
    restarted.counting_since = (1e9 + 15.5, None);
    receive(&mut state, 2, Ok(restarted.clone()));
    assert_eq!((state.state(name, &state.shards[name]), state.up()), ("active", 3));
    assert!(state.shards[name].rates.is_none(), "its counters restarted");
    restarted.at_seconds += 1.0;
    receive(&mut state, 2, Ok(restarted));
    assert!(state.shards[name].rates.is_some());
}

#[test]
fn a_shard_that_hangs_is_down_after_a_while() {
    let mut state = watched();
    state.tick(Duration::from_secs(14));
    assert_eq!(state.up(), 3);
    state.tick(Duration::from_secs(15));
    assert_eq!(state.up(), 0);
    let (_, why) = state.down(&state.shards[&names(1)[0]]).unwrap();
    assert_eq!(why, "it does not answer");
    receive(&mut state, 1, Ok(sample(1, 15)));
    assert_eq!(state.up(), 1);
}

#[test]
fn a_paused_screen_does_not_change() {
    let mut state = watched();
    press(&mut state, "p");
    let before = drawn(&state, 80, 24, PLAIN);
    assert!(before.contains("PAUSED"));
    state.tick(Duration::from_mins(1));
    receive(&mut state, 1, Err(down()));
    state.receive(host(3));
    assert_eq!(drawn(&state, 80, 24, PLAIN), before);
    press(&mut state, " ");
    state.tick(Duration::from_secs(61));
    receive(&mut state, 2, Err(down()));
    assert!(!drawn(&state, 80, 24, PLAIN).contains("PAUSED"));
    assert_eq!(state.state(&names(2)[1], &state.shards[&names(2)[1]]), "down");
}

#[test]
fn a_shard_that_answers_while_the_screen_is_paused_is_not_silent() {
    let mut state = watched();
    press(&mut state, "p");
    for second in 10..60 {
        state.tick(Duration::from_secs(second));
        receive(&mut state, 1, Ok(sample(1, 15)));
    }
    press(&mut state, "p");
    state.tick(Duration::from_mins(1));
    let is_up = |number: usize| state.down(&state.shards[&names(3)[number - 1]]).is_none();
    assert!(is_up(1) && !is_up(2), "the second has not answered");
    // Nor is a shard that answered in time by a longer interval.
    let mut state = MonitorState::new(names(1), Duration::from_mins(1));
    receive(&mut state, 1, Ok(sample(1, 0)));
    state.tick(Duration::from_secs(50));
    while state.interval > Duration::from_secs(1) {
        press(&mut state, "-");
    }
    assert_eq!(state.up(), 1);
    state.tick(Duration::from_mins(1));
    assert_eq!(state.up(), 0);
}

#[test]
fn the_sum_leaves_out_the_rate_of_a_silent_shard() {
    let mut state = watched();
    let all = state.transactions().unwrap();
    state.tick(Duration::from_secs(9));
    for number in 1..=2 {
        receive(&mut state, number, Ok(sample(number, 5)));
    }
    state.tick(Duration::from_secs(16));
    for number in 1..=2 {
        receive(&mut state, number, Ok(sample(number, 6)));
    }
    assert!(state.transactions().unwrap() < all && state.up() == 2);
}

#[test]
fn no_number_is_cut() {
    for (number, text) in [
        (9_999_999, "9,999,999"),
        (12_345_678, "12,345,678"),
        (123_456_789, "123,456k"),
        (98_765_432_109, "98,765M"),
    ] {
        assert_eq!(users_in(number, 10), text);
    }
    let mut state = watched();
    let mut many = sample(1, 16);
    (many.connections, many.connections_allowed) = (120, 4_997);
    receive(&mut state, 1, Ok(many));
    assert!(drawn(&state, 80, 24, PLAIN).contains("  120 "));
}

#[test]
fn a_hostile_message_of_a_server_moves_no_cursor() {
    let mut state = watched();
    let hostile = Error::new(Kind::Failed, "\u{1b}[2J\u{202e}gone");
    receive(&mut state, 1, Err(hostile));
    let text = drawn(&state, 80, 24, PLAIN);
    assert!(text.contains("\\x1b[2J\\u{202e}gone") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_long_list_can_be_scrolled() {
    let mut state = MonitorState::new(names(30), Duration::from_secs(1));
    let first = drawn(&state, 80, 12, PLAIN);
    assert!(first.contains("shard_1 ") && !first.contains("shard_9 ") && first.contains("more"), "{first}");
    for _ in 0..100 {
        state.press(Key::Down);
    }
    let last = drawn(&state, 80, 12, PLAIN);
    assert!(last.contains("shard_9 ") && !last.contains("shard_1 "), "{last}");
    // Scrolling back has an effect at once.
    state.press(Key::Up);
    assert_ne!(drawn(&state, 80, 12, PLAIN), last);
    state.press(Key::Char('2'));
    assert_eq!(state.scrolled(100, 1), 0);
}

#[test]
fn a_filter_shows_the_shards_with_this_name_or_state() {
    let mut state = one_down();
    press(&mut state, "/down");
    let typing = drawn(&state, 80, 24, PLAIN);
    assert!(typing.contains(" /down_") && typing.contains("1 of 3 shards match"), "{typing}");
    assert!(!typing.contains("\n shard_1 "), "{typing}");
    state.press(Key::Enter);
    assert!(drawn(&state, 80, 24, PLAIN).contains("Esc all shards"));
    assert_eq!(state.press(Key::Escape), Act::Nothing);
    assert!(drawn(&state, 80, 24, PLAIN).contains("\n shard_1 "));
    press(&mut state, "/x");
    state.press(Key::Backspace);
    press(&mut state, "_3q");
    assert!(state.shown().is_empty() && state.press(Key::Enter) == Act::Nothing);
    assert_eq!(state.press(Key::Enter), Act::Open(None), "there is none to open");
}

#[test]
fn an_opened_shard_shows_its_sessions() {
    let mut state = watched();
    state.press(Key::Down);
    let second = names(2)[1].clone();
    assert_eq!(state.press(Key::Enter), Act::Open(Some(second)));
    insta::assert_snapshot!("shard_opened", drawn(&state, 80, 10, PLAIN));
    let session = |pid, state: &str, blocked_by: &[i32], statement: &str| ClientSession {
        pid,
        role: "application_role".into(),
        program: "psql".into(),
        state: state.into(),
        seconds: Some(f64::from(pid) / 10.0),
        waits_for: (state == "active").then(|| "Lock transactionid".into()),
        blocked_by: blocked_by.into(),
        statement: statement.into(),
    };
    let mut seen = sample(2, 10);
    seen.activity = Some(Activity {
        sessions: vec![
            session(
                471,
                "active",
                &[12],
                "-- a comment\nUPDATE users\n  SET name = 'x' WHERE user_id = 7 AND region = 'EU'",
            ),
            session(12, "idle in transaction", &[], "SELECT dblink('postgresql://u:secret@h/d')"),
            session(13, "idle", &[], "\u{1b}[2J"),
            session(14, "", &[], ""),
        ],
        standbys: vec![Standby {
            name: "walreceiver".into(),
            state: "streaming".into(),
            sync: "async".into(),
            lag_bytes: Some(4_096),
        }],
    });
    receive(&mut state, 2, Ok(seen));
    for width in [60, 80, 120] {
        insta::assert_snapshot!(format!("sessions_{width}"), drawn(&state, width, 12, PLAIN));
    }
    assert!(drawn(&state, 80, 10, PLAIN).contains(" 1 more"));
    assert_eq!(state.press(Key::Escape), Act::Open(None));
    assert_eq!(state.press(Key::Escape), Act::Leave);
}
