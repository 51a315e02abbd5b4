//! The result of a run: as a report, and as JSON for `report`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use super::check::Checked;
use super::client::NOT_TRIED;
use super::run_context::{RunContext, WrongAnswer, WrongAnswers};
use super::tally::{LoadRun, Measurement, ShardNumber};
use crate::error::{Error, Kind};
use crate::model::json;
use crate::model::load::mix::LoadOperation;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::text::{counted, thousands};

/// How many wrong answers are reported as warnings.
const FINDINGS_REPORTED: usize = 5;
/// The most lines of the picture of throughput, and the longest bar.
const LINES_MAX: usize = 10;
const BAR_CHARS: f64 = 40.0;

/// The outcome of a run.
pub(crate) struct LoadOutcome<'a> {
    pub(crate) context: &'a RunContext,
    pub(crate) run: LoadRun,
    pub(crate) checked: Checked,
    /// The start of the run, since 1970.
    pub(crate) begun_at: Duration,
    pub(crate) keys: String,
    /// How many of the users that the run created were removed; `None` if they are kept.
    pub(crate) removed: Option<u64>,
}

#[expect(clippy::cast_precision_loss, reason = "rounded counts")]
fn real(number: u64) -> f64 {
    number as f64
}

/// Milliseconds since the run began, as seconds.
fn seconds(at_ms: u64) -> Cell {
    Cell::Decimal(real(at_ms) / 1e3, 3)
}

impl LoadOutcome<'_> {
    /// The answer of the command.
    pub(crate) fn report(&self) -> Report {
        let columns = [
            Column::text("operation"),
            Column::text("shard"),
            Column::number("count"),
            Column::number("errors"),
            Column::number("per_sec").detail(2),
            Column::number("p50_ms"),
            Column::number("p90_ms").detail(3),
            Column::number("p99_ms"),
            Column::number("p999_ms").detail(4),
            Column::number("max_ms").detail(1),
        ];
        let mut report = Report::list(&columns);
        for operation in LoadOperation::ALL {
            let mut of_operation: Vec<&Measurement> =
                self.run.tally.measured.iter().filter(|measured| measured.operation == operation).collect();
            of_operation.sort_by_key(|measured| self.name(measured.shard));
            let mut all = Histogram::<u64>::new(3).expect("three digits are allowed");
            let (mut answered, mut errors) = (0, 0);
            for measured in &of_operation {
                let shard = self.name(measured.shard);
                let latency = &measured.latency_us;
                report.push(self.row(operation, shard.as_ref(), measured.answered, measured.errors, latency));
                all.add(latency).expect("the histogram resizes itself");
                answered += measured.answered;
                errors += measured.errors;
            }
            if !of_operation.is_empty() {
                report.push(self.row(operation, None, answered, errors, &all));
            }
        }
        let findings = self.context.findings();
        report.whole = Some(Box::new(self.whole(&report, &findings)));
        report.notes = self.notes(&findings);
        report.warnings = self.warnings(&findings);
        report.failure = self.failure(&findings);
        report
    }

    fn name(&self, shard: ShardNumber) -> Option<ShardName> {
        shard.map(|number| self.context.names()[number].clone())
    }

    fn per_second(&self, count: u64) -> f64 {
        real(count) / self.run.elapsed.as_secs_f64().max(0.001)
    }

    /// One row; without a shard it is the sum of all.
    fn row(
        &self,
        operation: LoadOperation,
        shard: Option<&ShardName>,
        answered: u64,
        errors: u64,
        latency_us: &Histogram<u64>,
    ) -> Vec<Cell> {
        let ms = |us: u64| if answered == 0 { Cell::Null } else { Cell::Decimal(real(us) / 1e3, 2) };
        let at = |quantile| ms(latency_us.value_at_quantile(quantile));
        vec![
            operation.name().into(),
            shard.map(ShardName::as_str).into(),
            answered.into(),
            errors.into(),
            Cell::Decimal(self.per_second(answered), 0),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            ms(latency_us.max()),
        ]
    }

    /// The number of answered operations by shard.
    fn by_shard(&self) -> BTreeMap<ShardName, u64> {
        let mut by_shard = BTreeMap::new();
        for measured in &self.run.tally.measured {
            if let Some(name) = self.name(measured.shard) {
                *by_shard.entry(name).or_default() += measured.answered;
            }
        }
        by_shard
    }

    /// The number of users whose creation was begun.
    fn created(&self) -> u64 {
        self.context.created_ids().len() as u64
    }

    fn unchecked(&self) -> u64 {
        self.checked.unchecked.values().sum()
    }

    /// The whole result as one object.
    fn whole(&self, report: &Report, findings: &WrongAnswers) -> Report {
        let (plan, tally) = (&self.context.plan, &self.run.tally);
        let fields: Vec<(&'static str, Cell)> = vec![
            ("begun_at_unix_s", self.begun_at.as_secs().into()),
            ("clients", plan.clients.into()),
            ("duration_s", Cell::Decimal(plan.duration.as_secs_f64(), 3)),
            ("elapsed_s", Cell::Decimal(self.run.elapsed.as_secs_f64(), 3)),
            ("mix", plan.mix.to_string().into()),
            ("rate", plan.rate.into()),
            ("keys", self.keys.as_str().into()),
            ("seed", Cell::Number(plan.seed.to_string())),
            ("users", Cell::from(self.context.existing.len() as u64)),
            ("created", self.created().into()),
            ("operations", tally.answered.into()),
            ("errors", tally.failed.into()),
            ("not_begun", tally.not_begun.into()),
            ("per_sec", Cell::Decimal(self.per_second(tally.answered), 1)),
            ("answers_checked", tally.checked.into()),
            ("keys_written", self.checked.keys.into()),
            ("keys_unchecked", self.unchecked().into()),
            ("wrong", findings.wrong.into()),
            ("lost_unreplicated", findings.lost_unreplicated.into()),
            ("stopped", (self.run.was_stopped || self.checked.was_stopped).into()),
            ("by_operation", Cell::Table(report.columns.clone(), report.rows.clone())),
            ("by_shard", self.shards_table()),
            ("errors_by_kind", self.errors_table()),
            ("throughput", self.throughput_table()),
            ("unchecked_by_shard", self.unchecked_table()),
            ("wrong_by_kind", counts_table(&findings.by_kind)),
            ("wrong_answers", findings_table(&findings.first)),
            ("changed_by_others", self.context.changed_by_others.load(Ordering::Relaxed).into()),
            ("removed", self.removed.into()),
        ];
        let columns: Vec<Column> = fields.iter().map(|(name, _)| Column::text(name)).collect();
        Report::one(&columns, fields.into_iter().map(|(_, cell)| cell).collect())
    }

    fn shards_table(&self) -> Cell {
        let all = self.run.tally.answered.max(1);
        let columns = vec![Column::text("shard"), Column::number("operations"), Column::number("share_pct")];
        let row = |(shard, count): (ShardName, u64)| {
            vec![shard.as_str().into(), count.into(), Cell::percent(real(count) / real(all))]
        };
        Cell::Table(columns, self.by_shard().into_iter().map(row).collect())
    }

    fn errors_table(&self) -> Cell {
        let columns = ["kind", "shard", "count", "first"].map(Column::text).to_vec();
        let rows = self.run.tally.errors.iter().map(|((kind, shard), errors)| {
            let shard = self.name(*shard);
            let shard = shard.as_ref().map(ShardName::as_str);
            vec![(*kind).into(), shard.into(), errors.count.into(), errors.first.as_str().into()]
        });
        Cell::Table(columns, rows.collect())
    }

    fn throughput_table(&self) -> Cell {
        let columns = ["second", "operations", "errors"].map(Column::number).to_vec();
        let rows = self.run.tally.seconds.iter().zip(1..);
        let row = |(second, at): (&super::tally::Second, i64)| {
            vec![at.into(), second.answered.into(), second.errors.into()]
        };
        Cell::Table(columns, rows.map(row).collect())
    }

    fn unchecked_table(&self) -> Cell {
        let columns = vec![Column::text("shard"), Column::number("keys")];
        let rows = self.checked.unchecked.iter();
        Cell::Table(columns, rows.map(|(shard, keys)| vec![shard.as_str().into(), (*keys).into()]).collect())
    }

    /// The notes for a terminal.
    fn notes(&self, findings: &WrongAnswers) -> Vec<String> {
        let tally = &self.run.tally;
        let mut notes = vec![format!(
            "{} in {:.1} s by {}: {:.0}/s, {}",
            counted(tally.answered, "operation"),
            self.run.elapsed.as_secs_f64(),
            counted(self.context.plan.clients.into(), "client"),
            self.per_second(tally.answered),
            counted(tally.failed, "error")
        )];
        notes.extend(self.throughput_picture());
        let by_shard = self.by_shard();
        let most = by_shard.values().copied().max().unwrap_or_default();
        notes.push("operations by shard:".into());
        let width = by_shard.keys().map(|shard| shard.as_str().len()).max().unwrap_or_default();
        for (shard, count) in by_shard {
            let share = real(count) / real(tally.answered.max(1)) * 100.0;
            let bar = bar(real(count), real(most));
            notes.push(format!("  {:<width$}  {share:>5.1} %  {bar}", shard.as_str()));
        }
        if tally.not_begun > 0 {
            notes.push(format!(
                "the rate was not reached: {} were due but never begun",
                counted(tally.not_begun, "operation")
            ));
        }
        let strangers = self.context.existing.len() - self.context.existing.made();
        if strangers > 0 {
            let changed = self.context.changed_by_others.load(Ordering::Relaxed);
            let changed = match changed {
                0 => String::new(),
                changed => format!("; other programs changed or deleted {}", thousands(changed)),
            };
            notes.push(format!(
                "{} that load did not make were only read, and compared with what was read of them at first{changed}",
                counted(strangers as u64, "user")
            ));
        }
        match self.removed {
            Some(removed) => {
                notes.push(format!("removed: {} that the run had created", counted(removed, "user")));
            }
            None if self.created() > 0 => notes.push(format!(
                "kept: {} that the run has created; ringshard load clean removes them",
                counted(self.created(), "user")
            )),
            None => {}
        }
        if findings.wrong == 0 && tally.checked + self.checked.keys == 0 {
            notes.push("checked: nothing, as no answer was about a user of whom something was known".into());
        } else if findings.wrong == 0 {
            notes.push(format!(
                "checked: {}, and at the end {} that were written: no wrong answers",
                counted(tally.checked, "answer"),
                counted(self.checked.keys - self.unchecked(), "user")
            ));
        }
        notes
    }

    /// The throughput over time, as bars.
    fn throughput_picture(&self) -> Vec<String> {
        // Only full seconds, or nearly full ones.
        let whole = (self.run.elapsed + Duration::from_millis(50)).as_secs();
        let whole = usize::try_from(whole).unwrap_or(usize::MAX);
        let seconds = &self.run.tally.seconds[..whole.min(self.run.tally.seconds.len())];
        if seconds.len() < 2 {
            return Vec::new();
        }
        let step = seconds.len().div_ceil(LINES_MAX);
        let means: Vec<f64> = seconds
            .chunks(step)
            .map(|part| {
                part.iter().map(|second| real(second.answered)).sum::<f64>() / real(part.len() as u64)
            })
            .collect();
        let most = means.iter().copied().fold(0.0, f64::max);
        let mut lines = vec!["operations per second over time:".to_owned()];
        for (mean, at) in means.into_iter().zip((0..).step_by(step)) {
            let until = (at + step).min(seconds.len());
            lines.push(format!("  {:>7}  {mean:>7.0}  {}", format!("{until} s"), bar(mean, most)));
        }
        lines
    }

    fn warnings(&self, findings: &WrongAnswers) -> Vec<Error> {
        let mut warnings = Vec::new();
        for ((kind, shard), errors) in &self.run.tally.errors {
            let matches = |of: &Kind| of.name() == *kind || (*kind == NOT_TRIED && *of == Kind::Unreachable);
            let of_kind = Kind::ALL.into_iter().find(matches).unwrap_or(Kind::Failed);
            let message = format!("{} ({kind}), the first: {}", counted(errors.count, "error"), errors.first);
            let warning = Error::new(of_kind, message);
            warnings.push(match self.name(*shard) {
                Some(shard) => warning.on_shard(shard),
                None => warning,
            });
        }
        for finding in findings.first.iter().take(FINDINGS_REPORTED) {
            warnings.push(warning(finding));
        }
        if findings.lost_unreplicated > 0 {
            warnings.push(Error::new(
                Kind::Failed,
                format!(
                    "{} lost that were acknowledged but not replicated before a takeover (lost_unreplicated)",
                    counted(findings.lost_unreplicated, "write")
                ),
            ));
        }
        if self.run.stuck > 0 {
            let message = format!("{} did not finish", counted(self.run.stuck.into(), "client"));
            warnings.push(Error::new(Kind::Unreachable, message + ": an operation was not answered"));
        }
        warnings
    }

    fn failure(&self, findings: &WrongAnswers) -> Option<Error> {
        let tally = &self.run.tally;
        if findings.wrong > 0 {
            let wrong =
                findings.by_kind.iter().filter(|(kind, _)| **kind != super::run_context::LOST_UNREPLICATED);
            let kinds: Vec<String> =
                wrong.map(|(kind, count)| format!("{kind} {}", thousands(*count))).collect();
            let message = format!("WRONG ANSWERS: {} ({})", thousands(findings.wrong), kinds.join(", "));
            return Some(Error::new(Kind::Failed, message).hint(
                "ringshard verify --deep checks every row; -o json lists the first hundred wrong answers; check that no \
                 other program, and no other load run, changed the same users",
            ));
        }
        if self.run.was_stopped {
            let message = format!("stopped after {:.1} s", self.run.elapsed.as_secs_f64());
            return Some(
                Error::new(Kind::Partial, message).hint("the report covers the operations until then"),
            );
        }
        if self.checked.was_stopped {
            let message = format!(
                "stopped during the final check: {} were not checked",
                counted(self.unchecked(), "user")
            );
            return Some(Error::new(Kind::Partial, message).hint("ringshard verify --deep checks every row"));
        }
        if self.unchecked() > 0 {
            let by_shard = self.checked.unchecked.iter();
            let by_shard: Vec<String> =
                by_shard.map(|(shard, keys)| format!("{keys} of `{shard}`")).collect();
            let message = format!(
                "not checked at the end, because their shard did not answer: {} ({})",
                counted(self.unchecked(), "user"),
                by_shard.join(", ")
            );
            return Some(
                Error::new(Kind::Partial, message).hint("ringshard shards shows which shards answer"),
            );
        }
        if tally.answered == 0 && tally.failed > 0 {
            let message = format!("none of {} was answered", counted(tally.failed, "operation"));
            return Some(Error::new(Kind::Unreachable, message).hint("ringshard doctor shows what is wrong"));
        }
        if tally.failed > 0 {
            let all = counted(tally.answered + tally.failed, "operation");
            let message = format!("{} of {all} failed", thousands(tally.failed));
            return Some(Error::new(Kind::Partial, message).hint(
                "the warnings say why; -o json counts the errors by kind and shard; ringshard doctor shows what is wrong",
            ));
        }
        None
    }
}

/// The JSON of a run, for `report`.
pub(crate) fn json(report: &Report) -> Option<Value> {
    let whole = report.whole.as_ref()?;
    serde_json::from_str(&json::object(&whole.columns, whole.rows.first()?)).ok()
}

fn bar(value: f64, most: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 40")]
    let chars = if most > 0.0 { (value / most * BAR_CHARS).round() as usize } else { 0 };
    "#".repeat(chars)
}

fn counts_table(counts: &BTreeMap<&'static str, u64>) -> Cell {
    let columns = vec![Column::text("kind"), Column::number("count")];
    Cell::Table(columns, counts.iter().map(|(kind, count)| vec![(*kind).into(), (*count).into()]).collect())
}

fn findings_table(findings: &[WrongAnswer]) -> Cell {
    let columns = [
        "kind",
        "user_id",
        "shard",
        "asked",
        "at_s",
        "expected",
        "seen",
        "acknowledged_at_s",
        "acknowledged_by",
    ];
    let row = |finding: &WrongAnswer| {
        let (at, by) = match &finding.acknowledged {
            Some((at_ms, by)) => (seconds(*at_ms), by.as_str().into()),
            None => (Cell::Null, Cell::Null),
        };
        vec![
            finding.kind.into(),
            finding.key.number().into(),
            finding.shard.as_str().into(),
            finding.asked.into(),
            seconds(finding.at_ms),
            finding.expected.as_str().into(),
            finding.seen.as_str().into(),
            at,
            by,
        ]
    };
    Cell::Table(columns.map(Column::text).to_vec(), findings.iter().map(row).collect())
}

/// The warning about a wrong answer.
fn warning(finding: &WrongAnswer) -> Error {
    let WrongAnswer { kind, key, shard, asked, expected, seen, .. } = finding;
    let acknowledged = finding.acknowledged.as_ref().map_or_else(String::new, |(at_ms, by)| {
        format!("; the last write was acknowledged at {:.3} s by shard `{by}`", real(*at_ms) / 1e3)
    });
    let at = real(finding.at_ms) / 1e3;
    let message = format!(
        "wrong answer ({kind}) of shard `{shard}` about user `{key}`, {asked} at {at:.3} s: expected {expected}, got \
         {seen}{acknowledged}"
    );
    Error::new(Kind::Failed, message).hint(format!("ringshard ring locate {key}")).on_shard(shard)
}
