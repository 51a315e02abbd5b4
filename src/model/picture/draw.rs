//! Shapes on a circle: parts of it are 0 to 1, clockwise from the top.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use super::markup::number;
use crate::model::ring::arc::Arc;
use crate::model::ring::position::Position;

/// A place on the paper: the middle of the circle is 0, and down is more.
pub(super) type Point = (f64, f64);

/// How far round a position lies.
#[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 53 bits")]
pub(super) fn turn(position: Position) -> f64 {
    position.number() as f64 / 2_f64.powi(128)
}

/// Where an arc begins and ends.
pub(super) fn turns(arc: Arc) -> (f64, f64) {
    (turn(arc.first()), turn(arc.first()) + arc.share())
}

/// The point so far round, at this radius.
pub(super) fn point(turn: f64, radius: f64) -> Point {
    let angle = turn * TAU;
    (radius * angle.sin(), -radius * angle.cos())
}

/// `X Y`.
pub(super) fn at((x, y): Point) -> String {
    format!("{} {}", number(x), number(y))
}

/// The commands of a path around a part of a band: along the outer radius, and back along the inner one.
pub(super) fn sector((begin, end): (f64, f64), inner: f64, outer: f64) -> String {
    // An elliptical arc is told by its ends: one of a whole turn would have none.
    let steps = ((end - begin) / 0.25).ceil().max(1.0);
    let mut stops = vec![begin];
    let mut step = 1.0;
    while step <= steps {
        stops.push(begin + (end - begin) * step / steps);
        step += 1.0;
    }
    let mut out = format!("M{}", at(point(begin, outer)));
    for stop in &stops[1..] {
        write!(out, "A{0} {0} 0 0 1 {1}", number(outer), at(point(*stop, outer)))
            .expect("a string takes all");
    }
    write!(out, "L{}", at(point(end, inner))).expect("a string takes all");
    for stop in stops[..stops.len() - 1].iter().rev() {
        write!(out, "A{0} {0} 0 0 0 {1}", number(inner), at(point(*stop, inner)))
            .expect("a string takes all");
    }
    out + "Z"
}

/// Moves heights, which are sorted, apart until each has its room, and keeps them within `-most ..= most` if they fit.
pub(super) fn spread(heights: &mut [f64], room: f64, most: f64) {
    let mut least = f64::NEG_INFINITY;
    for height in heights.iter_mut() {
        *height = height.max(least);
        least = *height + room;
    }
    let mut greatest = most;
    for height in heights.iter_mut().rev() {
        *height = height.min(greatest);
        greatest = *height - room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_the_beginning_and_a_quarter_is_to_the_right() {
        assert_eq!(at(point(0.0, 10.0)), "0 -10");
        assert_eq!(at(point(0.25, 10.0)), "10 0");
        assert_eq!(at(point(0.5, 10.0)), "0 10");
        assert_eq!(sector((0.0, 0.25), 5.0, 10.0), "M0 -10A10 10 0 0 1 10 0L5 0A5 5 0 0 0 0 -5Z");
        assert_eq!(sector((0.0, 1.0), 5.0, 10.0).matches('A').count(), 8);
    }

    #[test]
    fn labels_do_not_lie_on_each_other() {
        let mut heights = [-5.0, -4.0, 0.0, 50.0, 98.0, 99.0];
        spread(&mut heights, 10.0, 100.0);
        assert_eq!(heights.map(number), ["-5", "5", "15", "50", "90", "100"]);
    }
}
