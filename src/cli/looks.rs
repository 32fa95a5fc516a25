//! What the terminal can show. Knows nothing of reports.

use std::io::IsTerminal as _;

/// What the output is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Looks {
    /// Text alone: for files, pipes and terminals that can do no more.
    Plain,
    /// Bars and lines as well.
    Bars,
    /// Colours as well.
    Colours,
}

impl Looks {
    /// Those of standard output.
    pub(crate) fn of_output() -> Self {
        let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if std::io::stdout().is_terminal() {
            Self::of_terminal(variable("TERM").as_deref(), variable("NO_COLOR").as_deref())
        } else {
            Self::Plain
        }
    }

    fn of_terminal(kind: Option<&str>, no_color: Option<&str>) -> Self {
        match (kind, no_color) {
            (None | Some("" | "dumb"), _) => Self::Plain,
            (_, None | Some("")) => Self::Colours,
            _ => Self::Bars,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_that_can_do_little_and_people_who_want_no_colours_get_none() {
        for (kind, no_color, expected) in [
            (Some("xterm-256color"), None, Looks::Colours),
            (Some("xterm"), Some(""), Looks::Colours),
            (Some("xterm"), Some("1"), Looks::Bars),
            (Some("dumb"), None, Looks::Plain),
            (Some("dumb"), Some("1"), Looks::Plain),
            (Some(""), None, Looks::Plain),
            (None, None, Looks::Plain),
        ] {
            assert_eq!(Looks::of_terminal(kind, no_color), expected, "{kind:?} {no_color:?}");
        }
    }
}
