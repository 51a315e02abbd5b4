//! The styles of the screen, with and without colours.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// The capabilities of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) color: bool,
    pub(super) unicode: bool,
}

impl Theme {
    pub(super) fn of(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// A problem.
    pub(super) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// A change under way.
    pub(super) fn moving(self) -> Style {
        self.of(Color::Yellow)
    }

    /// A good state.
    pub(super) fn good(self) -> Style {
        self.of(Color::Green)
    }

    /// A bar or a trend.
    pub(super) fn picture(self) -> Style {
        self.of(Color::Cyan)
    }

    /// A label.
    pub(super) fn label(self) -> Style {
        self.of(Color::DarkGray)
    }

    /// The colour of the shard at this place of the ring's list.
    pub(super) fn shard(self, at: usize) -> Style {
        let colors = [
            Color::Cyan,
            Color::Yellow,
            Color::Magenta,
            Color::Green,
            Color::Blue,
            Color::LightRed,
            Color::LightCyan,
            Color::LightMagenta,
        ];
        self.of(colors[at % colors.len()])
    }
}

/// A line with a label.
pub(super) fn labelled(label: &str, rest: Vec<Span<'static>>, theme: Theme) -> Line<'static> {
    let label = Span::styled(format!(" {label:<10} "), theme.label());
    std::iter::once(label).chain(rest).collect()
}
