//! What a connection string says besides hosts, ports and passwords.

use std::time::Duration;

use postgres::Config;
use postgres::config::{ChannelBinding, SslNegotiation};

use crate::error::{Error, Kind, Result};
use crate::pg::net::environment;
use crate::pg::net::parameters::Parameters;

/// How long sent data may stay unacknowledged before TCP closes the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that does not depend on the host, with libpq's defaults.
pub(super) fn base_config(parameters: &Parameters) -> Result<Config> {
    let mut config = Config::new();
    let user = parameters.get("user").map_or_else(operating_system_user, |user| Ok(user.to_owned()))?;
    config.dbname(parameters.get("dbname").unwrap_or(&user)).user(&user);
    let application_name =
        parameters.get("application_name").or_else(|| parameters.get("fallback_application_name"));
    config.application_name(application_name.unwrap_or("ringshard"));
    if let Some(options) = parameters.get("options") {
        config.options(options);
    }
    let negotiation = [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];
    if let Some(negotiation) = parameters.one_of("sslnegotiation", &negotiation)? {
        config.ssl_negotiation(negotiation);
    }
    let binding = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    if let Some(binding) = parameters.one_of("channel_binding", &binding)? {
        config.channel_binding(binding);
    }
    // Without a timeout, a server that vanished would never be noticed.
    config.tcp_user_timeout(match parameters.number("tcp_user_timeout")? {
        Some(milliseconds) if milliseconds > 0 => Duration::from_millis(milliseconds),
        _ => TCP_USER_TIMEOUT,
    });
    if let Some(switch) = parameters.number::<u32>("keepalives")? {
        config.keepalives(switch != 0);
    }
    if let Some(seconds) = parameters.number("keepalives_idle")?.filter(|seconds| *seconds > 0) {
        config.keepalives_idle(Duration::from_secs(seconds));
    }
    if let Some(seconds) = parameters.number("keepalives_interval")?.filter(|seconds| *seconds > 0) {
        config.keepalives_interval(Duration::from_secs(seconds));
    }
    if let Some(count) = parameters.number("keepalives_count")?.filter(|count| *count > 0) {
        config.keepalives_retries(count);
    }
    Ok(config)
}

fn operating_system_user() -> Result<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_passwd = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    of_passwd.or_else(|| environment::variable("USER")).ok_or_else(|| {
        Error::new(
            Kind::Configuration,
            "no database user is given, and the operating system has no name for this process's user",
        )
        .hint("name the user in the URL: `postgresql://USER@HOST/DATABASE`, or set PGUSER")
    })
}
