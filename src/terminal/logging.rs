//! The log: `2025-06-02 13:25:01,123 [INFO] message`, in the format of the prototype, written by simplelog.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{Config, ConfigBuilder, LevelPadding, WriteLogger, format_description};

use crate::commands::repl_command::LogLevel;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::model::text::{redacted, visible};

/// Whether the log goes to a file.
static TO_FILE: AtomicBool = AtomicBool::new(false);

/// The level of `-v` and `-vv`.
pub(super) fn level_of(verbose: u8) -> Option<LogLevel> {
    match verbose {
        0 => None,
        1 => Some(LogLevel::Info),
        _ => Some(LogLevel::Debug),
    }
}

/// Sets the level. Without `-v` nothing is logged to stderr (errors are shown anyway); a file gets at least INFO.
pub(super) fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Off if TO_FILE.load(Ordering::Relaxed) => LevelFilter::Info,
        LogLevel::Off => LevelFilter::Off,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
}

/// Starts the log, which is silent until its level is set.
pub(super) fn start(file: Option<&Path>) -> Result<()> {
    TO_FILE.store(file.is_some(), Ordering::Relaxed);
    let out: Box<dyn Write + Send> = match file {
        None => Box::new(io::stderr()),
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
            Box::new(opened.map_err(|cause| {
                let kind = files::kind_of(&cause, Kind::Configuration);
                Error::new(kind, format!("cannot write the log to `{}`: {cause}", path.display()))
                    .hint("name another file with --log-file")
            })?)
        }
    };
    let inner = WriteLogger::new(LevelFilter::Debug, format(), LogLines { line: Vec::new(), out });
    // A second call in one process (tests) keeps the first log.
    let _ = log::set_boxed_logger(Box::new(Escaping { inner }));
    Ok(())
}

fn format() -> Config {
    let mut builder = ConfigBuilder::new();
    builder
        .set_time_format_custom(format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second],[subsecond digits:3]"
        ))
        .set_level_padding(LevelPadding::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str("ringshard");
    // Local time; UTC if the offset cannot be determined.
    let _ = builder.set_time_offset_to_local();
    builder.build()
}

/// Escapes control characters before simplelog writes them: data must not forge lines or control terminals.
struct Escaping<L> {
    inner: L,
}

impl<L: Log> Log for Escaping<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = redacted(&record.args().to_string());
        let text = visible(&text);
        self.inner.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .args(format_args!("{text}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

/// Writes whole lines, so that processes can share a file, and names the level `WARN` as Python does.
struct LogLines {
    line: Vec<u8>,
    out: Box<dyn Write + Send>,
}

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let line = String::from_utf8_lossy(&self.line).replacen(" [WARN] ", " [WARNING] ", 1);
            self.line.clear();
            self.out.write_all(line.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
