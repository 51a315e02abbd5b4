//! A connection service file of libpq (34.17 of the PostgreSQL documentation) with a service for each shard.

use std::fmt::Write as _;

use crate::error::{Error, Kind, Result};
use crate::model::report::{Document, Report};
use crate::pg::cluster::Cluster;

const HEAD: &str = "\
# The shards of a ringshard cluster as services of libpq: psql service=NAME.
#
# Written by `ringshard shards --service-file`. Put it into ~/.pg_service.conf, or name the file in PGSERVICEFILE. It has no passwords:
# they belong into ~/.pgpass. Write it again when a shard was added or removed, or has another primary.
";

/// The file as a document. No shard is asked for anything.
pub(super) fn report(cluster: &Cluster) -> Result<Report> {
    let mut text = HEAD.to_owned();
    for name in cluster.shards().names() {
        let _ = write!(text, "\n[{name}]\n");
        for (keyword, value) in cluster.shards().address(&name)?.keywords() {
            // There are no quotes, and blanks at the end are cut off.
            if value.trim() != value || value.contains(['\n', '\r']) {
                let message = format!(
                    "`{keyword}` of `{name}` begins or ends with a blank, which a service file cannot hold"
                );
                let error = Error::new(Kind::Configuration, message).on_shard(&name);
                return Err(error.hint("ringshard config show tells where the URL is from"));
            }
            let _ = writeln!(text, "{keyword}={value}");
        }
    }
    let mut report = Report::list(&[]);
    report.document = Some(Document::Text(text));
    Ok(report)
}
