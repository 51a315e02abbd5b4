//! `ring show --svg`: the ring as a picture.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Changes, freshest};
use crate::bulk::Output;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::picture::ring::{Frame, RingPicture};
use crate::model::report::{Document, Report};
use crate::model::ring::Ring;
use crate::pg::cluster::view::View;

/// The arguments that are about the picture.
#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    /// Draw the ring into a file, as SVG; `-` for standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// In the picture: show where these keys lie, with commas between
    #[arg(long, value_name = "KEY", value_delimiter = ',', allow_negative_numbers = true)]
    keys: Vec<String>,
    #[command(flatten)]
    changes: Changes,
}

impl PictureArgs {
    /// The file to draw into, if a picture is desired topology. An error if what only a picture shows is desired topology without one.
    pub(crate) fn file(&self) -> Result<Option<&Path>> {
        if self.svg.is_none() && !(self.keys.is_empty() && self.changes.is_empty()) {
            let message = "--keys, --add and --remove are shown by the picture alone";
            return Err(Error::new(Kind::Usage, message).hint(
                "add --svg FILE; as tables: ringshard ring locate KEY, ringshard ring simulate --add NAME",
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
            RingPicture { heading: &heading, now: &view.ring, then: then.as_ref(), keys: &self.keys };
        let svg = picture.svg(Frame::File);
        if file == Path::new("-") {
            report.document = Some(Document::Text(svg));
        } else {
            write(file, &svg)?;
            report.notes.push(format!("wrote the ring into `{}`", file.display()));
        }
        Ok(report)
    }
}

/// The ring that is to follow: by the change that is under way, or by the wish.
pub(crate) fn following(view: &View) -> Option<Ring> {
    let goal = view.goal();
    (*goal != view.topology).then(|| goal.ring())
}

/// Puts a text into a file, which is there when it is whole.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    let mut output = Output::create(file)?;
    output.write_all(text.as_bytes()).map_err(|cause| output.unwritable(&cause))?;
    output.finish()
}
