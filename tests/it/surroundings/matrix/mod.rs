//! The matrix: every command in every surrounding. Each cell is right, or refused with the reason; never silent.
//!
//! `matrix.txt` has the expected cells: `ok`, the exit code of a refusal, or `-` where the command is not run. After each
//! cell all rows of all shards, and who serves them, are compared with a model.
//!
//! - `rows`: the commands
//! - `columns`: the surroundings; each is a test
//! - `world`: what is stored, and how a cluster gets back to where it was

mod columns;
mod rows;
mod world;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::support::harness::Ran;
use rows::{Before, FILES, IMPORTED, ROWS, Row, SCRIPT};
use world::{Users, World};

const MATRIX: &str = include_str!("matrix.txt");

/// Makes a command of words.
type Program<'a> = Box<dyn Fn(&[String]) -> Command + 'a>;

/// A surrounding.
pub(super) struct Column<'a> {
    /// Its name in the matrix.
    name: &'static str,
    world: World<'a>,
    /// Puts it around the shards, or takes it away.
    put: Box<dyn Fn(bool) + 'a>,
    /// The program in it.
    program: Program<'a>,
    /// What else must hold after each cell.
    check: Box<dyn Fn(&Users) + 'a>,
    /// The codes of refusals, and a word of the reason.
    reasons: &'static [(i32, &'static str)],
    /// What the server says if it can begin no session there, as it may do now and then.
    no_session: Option<&'static str>,
}

impl<'a> Column<'a> {
    /// Nothing around these shards.
    fn of(name: &'static str, world: World<'a>) -> Self {
        let cluster = world.cluster;
        let program = move |words: &[String]| {
            let mut command = cluster.command();
            command.args(words);
            command
        };
        Self {
            name,
            world,
            put: Box::new(|_| {}),
            program: Box::new(program),
            check: Box::new(|_| {}),
            reasons: &[],
            no_session: None,
        }
    }

    /// Runs all commands that the matrix has a cell for.
    fn run(self) {
        let home = self.world.cluster.home();
        for (name, of) in FILES {
            let lines: String = IMPORTED.map(|id| format!("{id},{of}\n")).collect();
            fs::write(home.join(name), format!("user_id,name\n{lines}")).unwrap();
        }
        fs::write(home.join("script"), SCRIPT).unwrap();
        let config = fs::read_to_string(home.join("ringshard.toml")).unwrap();
        let mut users = self.world.stored(false);
        let mut wrong = String::new();
        for row in ROWS {
            let expected = cell(self.name, row.name);
            if expected == "-" {
                continue;
            }
            self.world.arrange(row.before);
            let ran = self.run_cell(row, &mut users);
            let found = if ran.code == 0 { "ok".to_owned() } else { ran.code.to_string() };
            if ran.code != 0 && self.no_session.is_some_and(|words| ran.stderr.contains(words)) {
                fs::write(home.join("ringshard.toml"), &config).unwrap();
                continue;
            }
            if !expected.split('/').any(|cell| cell == found) {
                writeln!(wrong, "{} | {found}, not {expected}: {ran:?}", row.name).unwrap();
            } else if let Some(code) = (ran.code != 0).then_some(ran.code) {
                let mut reasons = self.reasons.iter().chain(row.reasons).filter(|reason| reason.0 == code);
                let says = |words: &str| ran.stderr.contains(words) || ran.stdout.contains(words);
                if !reasons.any(|reason| says(reason.1)) {
                    writeln!(wrong, "{} | {code} without a reason: {ran:?}", row.name).unwrap();
                }
            }
            fs::write(home.join("ringshard.toml"), &config).unwrap();
        }
        self.world.arrange(Before::Idle);
        assert_eq!(self.world.stored(false), users);
        assert!(wrong.is_empty(), "{}:\n{wrong}", self.name);
    }

    /// Runs a command, and compares what is stored then with what it says.
    fn run_cell(&self, row: &Row, users: &mut Users) -> Ran {
        let url = |word: &&str| match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(number) => self.world.cluster.url(number.parse().unwrap()),
            None => (*word).to_owned(),
        };
        (self.put)(true);
        let ran = Ran::of((self.program)(&row.words.iter().map(url).collect::<Vec<_>>()).spawn().unwrap());
        (self.put)(false);
        let what = format!("{}, {}: {ran:?}", self.name, row.name);
        assert!(!ran.stderr.contains("panicked"), "{what}");
        let stored = self.world.stored(matches!(row.before, Before::UnderWay | Before::Misplaced));
        let mut after = users.clone();
        (row.effect)(&mut after);
        let is_new = |id: &i64| row.random.contains(id) && !users.contains_key(id);
        after.extend(stored.iter().filter(|(id, _)| is_new(id)).map(|(id, fields)| (*id, fields.clone())));
        if ran.code == 0 {
            assert_eq!(stored, after, "{what}");
            (row.answer)(&ran, &stored, &self.world);
        } else {
            assert!(ran.stderr.contains("error: "), "{what}");
            for id in users.keys().chain(after.keys()) {
                let now = stored.get(id);
                let is_part = row.is_in_parts && now == after.get(id);
                assert!(now == users.get(id) || is_part, "{what}: user {id} is {now:?}");
            }
            assert!(stored.keys().all(|id| users.contains_key(id) || after.contains_key(id)), "{what}");
            assert!(
                row.before != Before::Idle || self.world.is_still(Before::Idle),
                "{what}: it changed the ring"
            );
            assert!(stored == *users || !ran.stderr.contains("nothing was imported"), "{what}");
        }
        (self.check)(&stored);
        *users = stored;
        ran
    }
}

/// The lines of the matrix as cells.
fn cells() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = MATRIX.lines().take_while(|line| !line.is_empty());
    lines.map(|line| line.split('|').map(str::trim).collect())
}

/// The expected cell.
fn cell(column: &str, row: &str) -> &'static str {
    let at = cells().next().unwrap().iter().position(|name| *name == column).unwrap();
    cells().find(|line| line[0] == row).unwrap()[at]
}

#[test]
#[expect(clippy::print_stderr, reason = "it is shown with --nocapture")]
fn the_matrix_has_a_cell_for_each_command_and_surrounding() {
    eprintln!("{MATRIX}");
    let names: Vec<&str> = cells().skip(1).map(|line| line[0]).collect();
    assert_eq!(names, ROWS.iter().map(|row| row.name).collect::<Vec<_>>());
    let columns = cells().next().unwrap().len();
    for line in cells().skip(1) {
        let is_known =
            |cell: &str| ["ok", "-"].contains(&cell) || cell.parse::<u8>().is_ok_and(|code| code > 0);
        assert_eq!(line.len(), columns, "{line:?}");
        assert!(line[1..].iter().flat_map(|cell| cell.split('/')).all(is_known), "{line:?}");
    }
}
