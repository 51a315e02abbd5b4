//! The records of a file: each is a user, or the reason why not.

use std::io::Read;

use super::csv::{Field, Splitter};
use super::encode::Layout;
use super::frames::{Frame, Frames};
use super::{FileFormat, jsonl};
use crate::error::{Error, Kind, Result};
use crate::model::ring::position::Position;
use crate::model::user::{EMAIL_CHARS_MAX, NAME_CHARS_MAX, REGION_CHARS_MAX, UserId, UserRef, check_text};

/// The columns of a file; `user_id` is required.
const COLUMNS: [&str; 4] = ["user_id", "name", "region", "email"];

/// The separators that are recognised in a header, in this order.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
const HEADER_HINT: &str =
    "the first line is a header of user_id and any of name, region, email, in any order";

/// One record.
#[derive(Debug)]
pub struct Record<'a> {
    /// The number of its first line.
    pub line: u64,
    /// Its bytes, without the line's end.
    pub raw: &'a [u8],
    /// The user, or the reason why it is not valid.
    pub user: std::result::Result<UserRef<'a>, String>,
}

/// The records of a file.
pub struct Records {
    name: String,
    frames: Frames,
    format: FileFormat,
    /// The header of a CSV file, verbatim.
    header: Option<Vec<u8>>,
    /// The place of each of [`COLUMNS`] in a record.
    places: [Option<usize>; 4],
    width: usize,
    splitter: Splitter,
    line: Option<jsonl::JsonUser>,
}

impl Records {
    /// Detects the format of a file, and reads the header of a CSV file. `name` is for errors.
    pub fn new(name: &str, input: Box<dyn Read + Send>) -> Result<Self> {
        let mut records = Self {
            name: name.to_owned(),
            frames: Frames::new(input),
            format: FileFormat::JsonLines,
            header: None,
            places: [Some(0), Some(1), Some(2), Some(3)],
            width: 0,
            splitter: Splitter::new(b','),
            line: None,
        };
        let Some(frame) = records.peek()? else {
            return Err(records.bad(1, "the file is empty").hint(
                "CSV starts with a header of user_id and any of name, region, email; JSON lines start with `{\"user_id\": …`",
            ));
        };
        let head = records.frames.bytes(&frame);
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if head.iter().take(2).any(|byte| *byte == 0) {
            let encoding = if head[0] == 0 { "UTF-16BE" } else { "UTF-16LE" };
            let hint = format!("if so, iconv -f {encoding} -t UTF-8 {name} | ringshard import -");
            return Err(records
                .bad(frame.line, "a NUL character; is the file UTF-16 without a byte order mark?")
                .hint(hint));
        }
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(b'[') => {
                return Err(records
                    .bad(frame.line, "the file is a JSON array, but JSON lines have one object per line")
                    .hint("jq -c '.[]' converts it to JSON lines"));
            }
            _ => records.read_header(frame)?,
        }
        Ok(records)
    }

    fn read_header(&mut self, mut frame: Frame) -> Result<()> {
        let mut raw = self.frames.bytes(&frame).to_vec();
        let declared = std::str::from_utf8(&raw).ok().and_then(declared_separator);
        if declared.is_some() {
            self.frames.pass(&frame);
            frame = self.peek()?.ok_or_else(|| {
                self.bad(frame.line, "the file ends after its line `sep=`").hint(HEADER_HINT)
            })?;
            raw.push(b'\n');
            raw.extend_from_slice(self.frames.bytes(&frame));
        }
        let text = std::str::from_utf8(self.frames.bytes(&frame)).map_err(|_| {
            self.bad(frame.line, "not UTF-8").hint("save the file as UTF-8, or convert it with iconv")
        })?;
        let text = text.trim_start_matches('\u{feff}').to_owned();
        if text.contains('\r') {
            let hint = format!("tr '\\r' '\\n' <{} | ringshard import -", self.name);
            return Err(self.bad(frame.line, "the lines end with a carriage return alone").hint(hint));
        }
        let mut refused: Option<(usize, String)> = None;
        for separator in declared.map_or_else(|| SEPARATORS.to_vec(), |declared| vec![declared]) {
            self.splitter.separator = separator;
            match self.read_columns(&text) {
                Ok(()) => {
                    self.format = FileFormat::Csv;
                    self.frames.pass(&frame);
                    self.frames.mind_quotes();
                    self.header = Some(raw);
                    return Ok(());
                }
                // Of several separators, the one that is in the header was meant.
                Err(why) => {
                    let found = self.splitter.fields.len();
                    if refused.as_ref().is_none_or(|(most, _)| found > *most) {
                        refused = Some((found, why));
                    }
                }
            }
        }
        let (_, why) = refused.expect("at least one separator was tried");
        Err(self.bad(frame.line, &why).hint(HEADER_HINT))
    }

    /// Reads the columns of a header: in any order, in capitals or not, and with columns without a name at the end.
    fn read_columns(&mut self, text: &str) -> std::result::Result<(), String> {
        self.splitter.split(text)?;
        let name = |at| self.splitter.text(text, at).unwrap_or_default().trim();
        let named = (0..self.splitter.fields.len()).rev().find(|at| !name(*at).is_empty());
        self.width = named.map_or(0, |last| last + 1);
        self.places = [None; 4];
        for at in 0..self.width {
            let name = name(at);
            if name.is_empty() {
                return Err(format!("column {} of the header has no name", at + 1));
            }
            let Some(column) = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name)) else {
                return Err(format!("the header has the column `{name}`, which users do not have"));
            };
            if self.places[column].replace(at).is_some() {
                return Err(format!("the header has the column `{name}` twice"));
            }
        }
        if self.places[0].is_none() {
            return Err("the header lacks the column `user_id`".into());
        }
        Ok(())
    }

    /// An error of kind [`Kind::BadInput`] that names the file and the line.
    pub fn bad(&self, line: u64, why: &str) -> Error {
        Error::new(Kind::BadInput, format!("{}:{line}: {why}", self.name))
    }

    /// How the file writes its users.
    pub fn layout(&self) -> Layout {
        let Self { format, places, width, .. } = *self;
        Layout { format, separator: self.splitter.separator, places, width }
    }

    /// The format of the file.
    pub fn format(&self) -> FileFormat {
        self.format
    }

    /// The header of a CSV file, verbatim; a line `sep=` is a part of it.
    pub fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// Whether records have the columns name, region and email.
    pub fn has(&self) -> [bool; 3] {
        [1, 2, 3].map(|column| self.places[column].is_some())
    }

    /// The identity of the file: the hash of its beginning. `None` if it has no records.
    pub fn identity(&mut self) -> Result<Option<Position>> {
        let header = self.header().unwrap_or_default().to_vec();
        let first = self.peek()?.map(|frame| self.frames.bytes(&frame));
        Ok(first.map(|first| Position::of_bytes(&[header.as_slice(), b"\n", first].concat())))
    }

    fn peek(&mut self) -> Result<Option<Frame>> {
        self.frames.peek().map_err(|cause| {
            let kind = match cause.kind() {
                std::io::ErrorKind::InvalidInput
                | std::io::ErrorKind::InvalidData
                | std::io::ErrorKind::UnexpectedEof => Kind::BadInput,
                _ => Kind::Failed,
            };
            Error::new(kind, format!("cannot read `{}`: {cause}", self.name))
                .hint("check that the file is complete, then run this again: stored users are not sent again")
        })
    }

    /// Whether a record has nothing but separators and blanks: an empty row of a spreadsheet.
    fn is_blank(&self, frame: &Frame) -> bool {
        let is_blank = |byte: &u8| *byte == self.splitter.separator || *byte == b' ';
        self.format == FileFormat::Csv && self.frames.bytes(frame).iter().all(is_blank)
    }

    /// The next record.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        let frame = loop {
            let Some(frame) = self.peek()? else { return Ok(None) };
            // The bytes stay in place until the next `peek`.
            self.frames.pass(&frame);
            if frame.broken.is_some() || !self.is_blank(&frame) {
                break frame;
            }
        };
        let line = frame.line;
        let Self { frames, format, splitter, line: parsed, places, width, .. } = self;
        let raw = frames.bytes(&frame);
        let user = match (frame.broken, std::str::from_utf8(raw)) {
            (Some(why), _) => Err(why.to_owned()),
            (None, Err(_)) => Err("not UTF-8".to_owned()),
            (None, Ok(text)) => match format {
                FileFormat::Csv => of_csv(text, splitter, *places, *width),
                FileFormat::JsonLines => jsonl::parse(text.trim_start_matches('\u{feff}'))
                    .and_then(|line| of_json(parsed.insert(line))),
            },
        };
        Ok(Some(Record { line, raw, user }))
    }
}

/// The separator that a first line `sep=;` names, as spreadsheets write it.
fn declared_separator(line: &str) -> Option<u8> {
    let line = line.trim_start_matches('\u{feff}');
    let line = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
    let (before, separator) = (line.get(..4)?, line.get(4..)?);
    match separator.as_bytes() {
        [byte] if before.eq_ignore_ascii_case("sep=") && byte.is_ascii() && *byte != b'"' => Some(*byte),
        _ => None,
    }
}

fn of_csv<'a>(
    text: &'a str,
    splitter: &'a mut Splitter,
    places: [Option<usize>; 4],
    width: usize,
) -> std::result::Result<UserRef<'a>, String> {
    splitter.split(text)?;
    let splitter = &*splitter;
    let found = splitter.fields.len();
    // Fields behind the last column must be empty.
    if found < width || splitter.fields[width..].iter().any(|field| *field != Field::Missing) {
        return Err(format!("{found} fields, but the header has {width}"));
    }
    let field = |column: usize| places[column].and_then(|at| splitter.text(text, at));
    let id = field(0).ok_or("no user_id")?;
    let user_id: UserId = id.parse().map_err(|why: String| format!("`{id}`: {why}"))?;
    checked(UserRef { user_id, name: field(1), region: field(2), email: field(3) })
}

fn of_json(line: &jsonl::JsonUser) -> std::result::Result<UserRef<'_>, String> {
    checked(UserRef {
        user_id: UserId::new(line.user_id),
        name: line.name.as_deref(),
        region: line.region.as_deref(),
        email: line.email.as_deref(),
    })
}

fn checked(user: UserRef<'_>) -> std::result::Result<UserRef<'_>, String> {
    for (column, text, chars_max) in [
        ("name", user.name, NAME_CHARS_MAX),
        ("region", user.region, REGION_CHARS_MAX),
        ("email", user.email, EMAIL_CHARS_MAX),
    ] {
        text.map_or(Ok(()), |text| check_text(text, chars_max)).map_err(|why| format!("{column}: {why}"))?;
    }
    Ok(user)
}
