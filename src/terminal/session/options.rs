//! What a session remembers of how its user wants things: `set`, `unset`.

use crate::commands::Globals;
use crate::commands::repl_command::{LogLevel, SetCommand, SettingName, Switch};
use crate::model::report::{Cell, Column, Report};
use crate::settings::{ColorWhen, Format, ReadReplica};
use crate::terminal::logging;
use crate::terminal::render::Style;

/// The settings of a session, or of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches are what it holds")]
pub(crate) struct SessionOptions {
    pub(crate) format: Format,
    pub(crate) header: bool,
    pub(crate) expanded: bool,
    pub(crate) quiet: bool,
    pub(crate) timing: bool,
    pub(crate) color: ColorWhen,
    pub(crate) log: LogLevel,
    pub(crate) read_replica: ReadReplica,
}

impl SessionOptions {
    /// These, with the flags of one line.
    pub(crate) fn for_line(self, flags: &Globals) -> Self {
        Self {
            format: flags.format.unwrap_or(self.format),
            header: self.header && !flags.no_header,
            expanded: self.expanded || flags.expanded,
            quiet: self.quiet || flags.quiet,
            color: flags.color.unwrap_or(self.color),
            log: logging::level_of(flags.verbose).unwrap_or(self.log),
            read_replica: flags.read_replica.unwrap_or(self.read_replica),
            ..self
        }
    }

    /// How data is to look.
    pub(crate) fn style(self) -> Style {
        Style {
            format: self.format,
            no_header: !self.header,
            expanded: self.expanded,
            screen: crate::terminal::output::Screen::stdout(self.color),
        }
    }

    /// Changes one.
    pub(crate) fn set(&mut self, setting: SetCommand) {
        match setting {
            SetCommand::Format { value } => self.format = value,
            SetCommand::Header { value } => self.header = value.is_on(),
            SetCommand::Expanded { value } => self.expanded = value.is_on(),
            SetCommand::Quiet { value } => self.quiet = value.is_on(),
            SetCommand::Timing { value } => self.timing = value.is_on(),
            SetCommand::Color { value } => self.color = value,
            SetCommand::Log { value } => self.log = value,
            SetCommand::ReadReplica { value } => self.read_replica = value,
        }
    }

    /// Takes one back to what it is there.
    pub(crate) fn take_from(&mut self, name: SettingName, other: Self) {
        match name {
            SettingName::Format => self.format = other.format,
            SettingName::Header => self.header = other.header,
            SettingName::Expanded => self.expanded = other.expanded,
            SettingName::Quiet => self.quiet = other.quiet,
            SettingName::Timing => self.timing = other.timing,
            SettingName::Color => self.color = other.color,
            SettingName::Log => self.log = other.log,
            SettingName::ReadReplica => self.read_replica = other.read_replica,
        }
    }

    /// All of them, with what they can be.
    pub(crate) fn report(self) -> Report {
        let switch = |on: bool| if on { Switch::On } else { Switch::Off };
        let mut report =
            Report::list(&[Column::text("setting"), Column::text("value"), Column::text("values")]);
        let rows = [
            ("format", name(&self.format), names::<Format>()),
            ("header", name(&switch(self.header)), names::<Switch>()),
            ("expanded", name(&switch(self.expanded)), names::<Switch>()),
            ("quiet", name(&switch(self.quiet)), names::<Switch>()),
            ("timing", name(&switch(self.timing)), names::<Switch>()),
            ("color", name(&self.color), names::<ColorWhen>()),
            ("log", name(&self.log), names::<LogLevel>()),
            ("read-replica", name(&self.read_replica), names::<ReadReplica>()),
        ];
        for (setting, value, values) in rows {
            report.push(vec![setting.into(), value.into(), Cell::List(values)]);
        }
        report
            .notes
            .push("set NAME VALUE changes one, unset NAME takes it back; config show has the rest".into());
        report
    }
}

fn name<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn names<T: clap::ValueEnum>() -> Vec<String> {
    T::value_variants()
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value)
        .map(|v| v.get_name().into())
        .collect()
}
