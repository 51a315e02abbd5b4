//! `target_session_attrs`: which kind of server a connection string requires (34.1.2 of the PostgreSQL documentation).

/// The values of `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetServer {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl TargetServer {
    pub(crate) const NAMES: [(&'static str, Self); 6] = [
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
    ];

    /// Why a server does not match, in libpq's wording; `None` if it does.
    pub(crate) fn complaint(self, is_standby: bool, is_read_only: bool) -> Option<&'static str> {
        match self {
            Self::ReadWrite if is_read_only => Some("session is read-only"),
            Self::ReadOnly if !is_read_only => Some("session is not read-only"),
            Self::Primary if is_standby => Some("server is in hot standby mode"),
            Self::Standby | Self::PreferStandby if !is_standby => Some("server is not in hot standby mode"),
            _ => None,
        }
    }
}
