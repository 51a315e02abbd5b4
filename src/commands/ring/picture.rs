//! `ring show --svg`: a picture of the ring.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Changes, freshest};
use crate::bulk::Output;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::files::atomic;
use crate::model::picture::ring::{Frame, RingPicture};
use crate::model::report::{Document, Report};
use crate::model::ring::Ring;
use crate::pg::cluster::view::View;

/// The arguments of the picture.
#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    /// Draw the ring into this file, as SVG; `-` for standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// With --svg: mark these keys, separated by commas
    #[arg(long, value_name = "KEY", value_delimiter = ',', allow_negative_numbers = true)]
    keys: Vec<String>,
    #[command(flatten)]
    changes: Changes,
}

impl PictureArgs {
    /// The file of the picture, if there is to be one. An error if only flags of the picture are given.
    pub(crate) fn file(&self) -> Result<Option<&Path>> {
        if self.svg.is_none() && !(self.keys.is_empty() && self.changes.is_empty()) {
            let message = "--keys, --add and --remove need --svg";
            return Err(Error::new(Kind::Usage, message).hint(
                "add --svg ring.svg; for tables use ringshard ring locate and ringshard ring simulate",
            ));
        }
        Ok(self.svg.as_deref())
    }

    /// Draws it.
    pub(crate) fn draw(&self, file: &Path, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let mut report = Report::list(&[]);
        let view = freshest(&cluster, &mut report)?;
        let then = if self.changes.is_empty() {
            following(&view)
        } else {
            Some(self.changes.target(&view.topology, view.topology.virtual_nodes())?.ring())
        };
        let id = cluster.id().map(|id| format!(" of cluster {:.8}", id.to_string())).unwrap_or_default();
        let heading = format!("Ring{id}, epoch {}", view.epoch);
        let picture =
            RingPicture { heading: &heading, now: view.ring(), then: then.as_ref(), keys: &self.keys };
        let svg = picture.svg(Frame::File);
        if atomic::is_stdout(file) {
            report.document = Some(Document::Text(svg));
        } else {
            write(file, &svg)?;
            report.notes.push(format!("wrote the ring to `{}`", file.display()));
        }
        Ok(report)
    }
}

/// The ring of the next topology, or of the desired one; `None` if the ring does not change.
pub(crate) fn following(view: &View) -> Option<Ring> {
    let goal = view.goal();
    (*goal != view.topology).then(|| goal.ring())
}

/// Writes a file, which appears under its name only when it is complete.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    let mut output = Output::create(file)?;
    output.write_all(text.as_bytes()).or_else(|cause| output.unwritable(&cause))?;
    output.finish()
}
