//! Why somebody got no access, each with a counter of its own for either port.

/// Why there was no access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuthFailure {
    /// No token was shown.
    Missing,
    /// A token was, which is not known.
    Unknown,
    /// A token that is known, without the scope.
    Scope,
    /// Too many wrong tokens came from the address.
    BackOff,
}

impl AuthFailure {
    pub(super) const ALL: [Self; 4] = [Self::Missing, Self::Unknown, Self::Scope, Self::BackOff];

    /// The label in the metrics, which dashboards are built on: it must not change.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Scope => "scope",
            Self::BackOff => "back_off",
        }
    }
}
