//! The colours of the screen, and what stands in for them where there are none.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) color: bool,
    pub(super) unicode: bool,
}

impl Theme {
    pub(super) fn of(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// Something is wrong.
    pub(super) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Something is on its way.
    pub(super) fn moving(self) -> Style {
        self.of(Color::Yellow)
    }

    /// All is well.
    pub(super) fn good(self) -> Style {
        self.of(Color::Green)
    }

    /// A picture.
    pub(super) fn picture(self) -> Style {
        self.of(Color::Cyan)
    }

    /// What explains, and is no data. Dim is no colour, but as faint as one where there is none.
    pub(super) fn label(self) -> Style {
        self.of(Color::DarkGray)
    }

    /// That of the shard at this place of the ring's list.
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

/// A label and what it is of.
pub(super) fn labelled(label: &str, rest: Vec<Span<'static>>, theme: Theme) -> Line<'static> {
    let label = Span::styled(format!(" {label:<10} "), theme.label());
    std::iter::once(label).chain(rest).collect()
}
