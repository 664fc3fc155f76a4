//! Colour and width: what the terminal behind standard error can show.

use std::io::IsTerminal;

/// How talk on standard error is dressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Style {
    colour: bool,
    animate: bool,
}

/// Columns that are assumed where there is no terminal to ask.
const WIDTH: usize = 100;

impl Style {
    /// Without colour and motion.
    pub(crate) const PLAIN: Self = Self { colour: false, animate: false };

    /// Looks at standard error and at `NO_COLOR`, `CI` and `TERM`.
    ///
    /// Colour needs a terminal that is not dumb, and neither `NO_COLOR` nor `--no-color`. Motion needs such a terminal
    /// and no `CI`.
    pub(crate) fn of_stderr(no_color: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let able =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { colour: able && !no_color && !set("NO_COLOR"), animate: able && !set("CI") }
    }

    /// Whether colours are wanted.
    pub(crate) fn colour(self) -> bool {
        self.colour
    }

    /// Whether lines may be drawn anew.
    pub(crate) fn animate(self) -> bool {
        self.animate
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    pub(crate) fn hint(self, text: &str) -> String {
        self.paint("36", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Whether the terminal breaks the lines on it anew when it is made narrower. xterm and GNU screen, which say their names, cut them
/// off instead; nearly all others break them.
pub(crate) fn rewraps() -> bool {
    ["XTERM_VERSION", "STY"].iter().all(|name| std::env::var_os(name).is_none())
}

/// Columns of the terminal behind standard error; 100 where there is none.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}
