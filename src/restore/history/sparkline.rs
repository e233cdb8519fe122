//! A row of numbers as a small drawing: SVG within a page, without any script.

use crate::restore::report::text::push;

/// Of the drawing, in its own units; the page's style says how large it is shown.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 28.0;
const MARGIN: f64 = 3.0;
/// More would be closer than can be seen.
const MOST_POINTS: usize = 120;

/// From zero up, so that half as high is half as many. `None` is a gap; `marked` is the place of a loss. `label`, already
/// escaped, says in words what is drawn.
pub(super) fn sparkline(values: &[Option<u64>], marked: Option<usize>, label: &str) -> String {
    let mut drawing =
        format!("<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">");
    let largest = values.iter().flatten().max().copied().unwrap_or(0).max(1) as f64;
    let last = values.len().saturating_sub(1).max(1) as f64;
    let x = |place: usize| MARGIN + place as f64 / last * (WIDTH - 2.0 * MARGIN);
    let y = |value: u64| HEIGHT - MARGIN - value as f64 / largest * (HEIGHT - 2.0 * MARGIN);
    push(
        &mut drawing,
        format_args!("<path class=\"base\" d=\"M{MARGIN} {0}H{1}\"/>", HEIGHT - MARGIN, WIDTH - MARGIN),
    );
    let mut line = String::new();
    let mut begins = true;
    for place in kept(values, marked) {
        match values[place] {
            None => begins = true,
            Some(value) => {
                let letter = if begins { 'M' } else { 'L' };
                push(&mut line, format_args!("{letter}{:.1} {:.1}", x(place), y(value)));
                begins = false;
            }
        }
    }
    // One night between two gaps is a point: a line without length, which round ends make visible.
    push(&mut drawing, format_args!("<path class=\"line\" d=\"{}\"/>", dotted(&line)));
    if let Some(place) = marked {
        let value = values.get(place).copied().flatten().unwrap_or(0);
        push(
            &mut drawing,
            format_args!("<circle class=\"loss\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(place), y(value)),
        );
    }
    drawing.push_str("</svg>");
    drawing
}

/// `M1 2M3 4` has two points, and draws nothing until each has an end.
fn dotted(line: &str) -> String {
    let pieces = line.split('M').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| match piece.contains('L') {
            true => format!("M{piece}"),
            false => format!("M{piece}h0"),
        })
        .collect()
}

/// Evenly spread; the last one, the loss, what is before it, and both sides of each gap are among them.
fn kept(values: &[Option<u64>], marked: Option<usize>) -> Vec<usize> {
    let step = values.len().div_ceil(MOST_POINTS).max(1);
    let is_edge = |place: usize| {
        let other = |other: Option<&Option<u64>>| other.is_some_and(|other| other.is_some() != values[place].is_some());
        other(values.get(place + 1)) || other(place.checked_sub(1).and_then(|before| values.get(before)))
    };
    let is_loss = |place: usize| marked.is_some_and(|loss| loss == place || loss == place + 1);
    let is_kept = |place: &usize| place.is_multiple_of(step) || place + 1 == values.len() || is_loss(*place) || is_edge(*place);
    (0..values.len()).filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gaps_points_and_a_mark() {
        let drawn = sparkline(&[Some(10), Some(5), None, Some(0), None, Some(10)], Some(2), "rows");
        assert!(drawn.contains("d=\"M3.0 3.0L25.8 14.0M71.4 25.0h0M117.0 3.0h0\""), "{drawn}");
        assert!(drawn.contains("<circle class=\"loss\" cx=\"48.6\" cy=\"25.0\""), "{drawn}");
    }

    #[test]
    fn nothing_one_and_very_many_nights_can_be_drawn() {
        for values in [vec![], vec![None], vec![Some(u64::MAX)], vec![Some(0); 2]] {
            let drawn = sparkline(&values, None, "");
            assert!(
                drawn.ends_with("</svg>") && !drawn.contains("NaN") && !drawn.contains("inf"),
                "{drawn}"
            );
        }
        let mut many = vec![Some(7); 5_000];
        many[4_321] = Some(1);
        let kept = kept(&many, Some(4_321));
        assert!(kept.len() <= MOST_POINTS + 3 && [0, 4_320, 4_321, 4_999].iter().all(|place| kept.contains(place)));
    }
}
