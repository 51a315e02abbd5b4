//! The options of a session, which `set` and `unset` change.

use crate::commands::Globals;
use crate::commands::repl_command::{EditorKeys, LogLevel, SetCommand, SettingName, Switch};
use crate::model::report::{Cell, Column, NullText, Report};
use crate::settings::{ColorWhen, Format, ReadReplica, value_name};
use crate::terminal::logging;
use crate::terminal::render::Style;

/// The options of a session, or of one line.
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
    pub(crate) pager: bool,
    pub(crate) null: NullText,
    pub(crate) keys: EditorKeys,
    pub(crate) read_replica: ReadReplica,
}

impl SessionOptions {
    /// These options with the flags of one line.
    pub(crate) fn for_line(self, flags: &Globals) -> Self {
        Self {
            format: flags.report_format().unwrap_or(self.format),
            header: self.header && !flags.no_header,
            expanded: self.expanded || flags.expanded,
            quiet: self.quiet || flags.quiet,
            color: flags.color.unwrap_or(self.color),
            log: logging::level_of(flags.verbose).unwrap_or(self.log),
            read_replica: flags.read_replica.unwrap_or(self.read_replica),
            ..self
        }
    }

    /// The output style.
    pub(crate) fn style(self) -> Style {
        Style {
            format: self.format,
            no_header: !self.header,
            expanded: self.expanded,
            null: self.null,
            screen: crate::terminal::output::Screen::stdout(self.color),
        }
    }

    /// Changes an option.
    pub(crate) fn set(&mut self, setting: SetCommand) {
        match setting {
            SetCommand::Format { value } => self.format = value,
            SetCommand::Header { value } => self.header = value.is_on(),
            SetCommand::Expanded { value } => self.expanded = value.is_on(),
            SetCommand::Quiet { value } => self.quiet = value.is_on(),
            SetCommand::Timing { value } => self.timing = value.is_on(),
            SetCommand::Color { value } => self.color = value,
            SetCommand::Log { value } => self.log = value,
            SetCommand::Pager { value } => self.pager = value.is_on(),
            SetCommand::Null { value } => self.null = value,
            SetCommand::Keys { value } => self.keys = value,
            SetCommand::ReadReplica { value } => self.read_replica = value,
        }
    }

    /// Resets an option to its value in `initial`.
    pub(crate) fn reset(&mut self, name: SettingName, initial: Self) {
        match name {
            SettingName::Format => self.format = initial.format,
            SettingName::Header => self.header = initial.header,
            SettingName::Expanded => self.expanded = initial.expanded,
            SettingName::Quiet => self.quiet = initial.quiet,
            SettingName::Timing => self.timing = initial.timing,
            SettingName::Color => self.color = initial.color,
            SettingName::Log => self.log = initial.log,
            SettingName::Pager => self.pager = initial.pager,
            SettingName::Null => self.null = initial.null,
            SettingName::Keys => self.keys = initial.keys,
            SettingName::ReadReplica => self.read_replica = initial.read_replica,
        }
    }

    /// All options, with their possible values.
    pub(crate) fn report(self) -> Report {
        let switch = |on: bool| if on { Switch::On } else { Switch::Off };
        let mut report =
            Report::list(&[Column::text("setting"), Column::text("value"), Column::text("values")]);
        let rows = [
            ("format", value_name(&self.format), names::<Format>()),
            ("header", value_name(&switch(self.header)), names::<Switch>()),
            ("expanded", value_name(&switch(self.expanded)), names::<Switch>()),
            ("quiet", value_name(&switch(self.quiet)), names::<Switch>()),
            ("timing", value_name(&switch(self.timing)), names::<Switch>()),
            ("color", value_name(&self.color), names::<ColorWhen>()),
            ("log", value_name(&self.log), names::<LogLevel>()),
            ("pager", value_name(&switch(self.pager)), names::<Switch>()),
            ("null", self.null.to_string(), vec!["TEXT".into()]),
            ("keys", value_name(&self.keys), names::<EditorKeys>()),
            ("read-replica", value_name(&self.read_replica), names::<ReadReplica>()),
        ];
        for (setting, value, values) in rows {
            report.push(vec![setting.into(), value.into(), Cell::List(values)]);
        }
        report.notes.push(
            "set NAME VALUE changes an option, unset NAME resets it; config show lists the other settings"
                .into(),
        );
        report
    }
}

fn names<T: clap::ValueEnum>() -> Vec<String> {
    T::value_variants().iter().map(value_name).collect()
}
