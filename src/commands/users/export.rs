//! `export`: writes all users into a file, by id; or the rows of another table.

use crate::pg::scan;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::any_table::{TableFlag, export_table};
use super::partial::AllowPartial;
use crate::bulk::{FileFormat, HEADER, Output, encode};
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::files::atomic;
use crate::model::report::{Document, Report, StreamEnd};
use crate::model::text::counted;
use crate::model::user::{UserBytes, UserId};
use crate::pg::scan::list::{Filter, Merged, RowBatcher};
use crate::settings::{Format, Origin};

/// The size of a batch of lines.
const BATCH_BYTES: usize = 64 << 10;
/// About as many lines as fit into a batch.
const LINES: usize = BATCH_BYTES / 32;
/// The size of one write.
const WRITE_BYTES: usize = 256 << 10;

/// The arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file: CSV, or JSON lines if it ends with .jsonl; compressed if it ends with .gz; `-` for standard output
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) table: TableFlag,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl ExportArgs {
    /// Reads all shards at once and writes the users by id.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let format = self.format(context)?;
        let cluster = context.cluster()?;
        if let Some(table) = self.table.other_table(&cluster)? {
            return export_table(context, &cluster, table, (&self.file, format), self.partial.allow_partial);
        }
        let cluster = context.cluster_of_users()?;
        let new = move || ExportLines::new(format);
        let (lines, missing) = scan::scatter(&cluster, &Filter::default(), self.partial.allow_partial, new)?;
        let mut report = if atomic::is_stdout(&self.file) {
            let write = move |out: &mut dyn Write| write_all(format, lines, out, &mut |_| ()).map(|_| ());
            Report { document: Some(Document::Stream(Box::new(write))), ..Report::list(&[]) }
        } else {
            let rows = self.write_file(context, format, lines)?;
            let note = |rows| format!("wrote {} to `{}`", counted(rows, "user"), self.file.display());
            rows.map_or_else(|| Report::list(&[]), |rows| Report::note(note(rows)))
        };
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }

    /// Writes all users and returns their number; `None` if the reader of a pipe has closed it.
    fn write_file(
        &self,
        context: &Context<'_>,
        format: FileFormat,
        lines: Merged<ExportLines>,
    ) -> Result<Option<u64>> {
        let mut output = Output::create(&self.file)?;
        let console = context.console();
        let mut progress = |rows| console.progress(Some(&Progress { rows, part: None, at: String::new() }));
        let written = write_all(format, lines, &mut output, &mut progress);
        console.progress(None);
        match written {
            Ok(rows) => output.finish().map(|()| Some(rows)),
            Err(StreamEnd::Unwritable(cause)) => output.unwritable(&cause).map(|()| None),
            Err(StreamEnd::Failed(error)) => Err(error),
        }
    }

    /// The format of `-o`, else that of the file's name, else CSV.
    pub(crate) fn format(&self, context: &Context<'_>) -> Result<FileFormat> {
        let settings = context.settings();
        match (settings.format.value, &settings.format.origin) {
            (Format::Csv, _) => return Ok(FileFormat::Csv),
            (Format::Json | Format::Jsonl, _) => return Ok(FileFormat::JsonLines),
            (Format::Table | Format::Tsv | Format::Markdown, Origin::Flag(_)) => {
                return Err(Error::new(Kind::Usage, "export writes CSV or JSON lines")
                    .hint("use -o csv or -o jsonl; ringshard list-users has the other formats"));
            }
            _ => {}
        }
        let name = self.file.to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_json = [".jsonl", ".ndjson", ".json"].iter().any(|suffix| name.ends_with(suffix));
        Ok(if is_json { FileFormat::JsonLines } else { FileFormat::Csv })
    }
}

/// Users as lines of a file.
struct ExportLines {
    format: FileFormat,
    ids: Vec<UserId>,
    /// Where each line ends.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl ExportLines {
    fn new(format: FileFormat) -> Self {
        let bytes = Vec::with_capacity(BATCH_BYTES + 1024);
        Self { format, ids: Vec::with_capacity(LINES), ends: Vec::with_capacity(LINES), bytes }
    }

    fn line(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

impl RowBatcher for ExportLines {
    fn push(&mut self, user: UserBytes<'_>) {
        self.ids.push(user.user_id);
        encode(self.format, user, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    fn ids(&self) -> &[UserId] {
        &self.ids
    }

    fn not_utf8(&self) -> Option<UserId> {
        // The bytes between the texts are ASCII, so two invalid texts cannot form a valid one.
        let valid = str::from_utf8(&self.bytes).err()?.valid_up_to();
        Some(self.ids[self.ends.partition_point(|end| *end <= valid)])
    }

    fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.bytes.clear();
    }
}

/// Writes all lines and returns the number of users. `progress` gets the number so far.
fn write_all(
    format: FileFormat,
    mut lines: Merged<ExportLines>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> std::result::Result<u64, StreamEnd> {
    let mut buffer = Vec::with_capacity(WRITE_BYTES + 4096);
    if format == FileFormat::Csv {
        buffer.extend_from_slice(HEADER.as_bytes());
    }
    let mut rows = 0;
    while let Some((batch, at)) = lines.next_user()? {
        buffer.extend_from_slice(batch.line(at));
        rows += 1;
        if buffer.len() >= WRITE_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
            progress(rows);
        }
    }
    out.write_all(&buffer)?;
    out.flush()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_names_the_user_whose_text_is_not_utf8() {
        for format in [FileFormat::Csv, FileFormat::JsonLines] {
            let mut lines = ExportLines::new(format);
            let mut push = |id, name, email| {
                lines.push(UserBytes { user_id: UserId::new(id), name, region: None, email });
                lines.not_utf8()
            };
            assert_eq!(push(1, Some("\u{e9}".as_bytes()), None), None);
            // The two bytes of one character, in two fields.
            assert_eq!(push(2, Some(&[0xc3]), Some(&[0xa9])), Some(UserId::new(2)));
            assert_eq!(push(3, Some(b"x"), None), Some(UserId::new(2)));
            lines.clear();
            assert_eq!(lines.not_utf8(), None);
        }
    }
}
