//! The commands that set up the cluster and this program.

pub mod completions;
pub mod config;
pub mod doctor;
pub mod init_shards;
pub mod local;

use crate::local::PrivateServer;

/// A note if the home had another mode before its server was started.
pub(crate) fn opened_home(server: &PrivateServer, before: Option<u32>) -> Option<String> {
    let now = server.home_mode()?;
    let is_opened = before.is_some_and(|before| before != now);
    is_opened.then(|| {
        format!(
            "`{}` has mode {now:04o} now: the private Postgres runs as another user, who must pass through it",
            server.home().display()
        )
    })
}
