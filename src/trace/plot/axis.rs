//! Where an axis ends, where its lines are, and how numbers are written beside them.

/// A value axis from zero up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// The highest value that is shown.
    pub end: f64,
    /// From one line to the next.
    pub step: f64,
}

impl Axis {
    /// An axis that reaches a little beyond `highest`, with about so many lines.
    pub fn up_to(highest: f64, lines: u32) -> Self {
        let end = if highest.is_finite() && highest > 0.0 { highest * 1.08 } else { 1.0 };
        Self { end, step: nice(end / f64::from(lines.max(1))) }
    }

    /// The values that have a line.
    pub fn lines(&self) -> impl Iterator<Item = f64> {
        let (step, end) = (self.step, self.end);
        (0_u32..100).map(move |number| f64::from(number) * step).take_while(move |value| *value <= end)
    }

    /// As short as the step allows.
    pub fn label(&self, value: f64) -> String {
        let decimals = usize::try_from((-self.step.log10().floor()).clamp(0.0, 6.0) as i64).unwrap_or(0);
        format!("{value:.decimals$}")
    }
}

/// The next step of 1, 2, 5, 10, ... that is no smaller.
fn nice(step: f64) -> f64 {
    let magnitude = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| step <= factor * magnitude * 1.000_001);
    factor.unwrap_or(10.0) * magnitude
}

/// A unit for values up to `highest`, of `units` that are a thousand times as large each: its name, and what to divide by.
pub fn unit<'a>(highest: f64, units: &[&'a str]) -> (&'a str, f64) {
    let mut scale = 1.0;
    let mut units = units.iter();
    let mut name = units.next().copied().unwrap_or_default();
    for larger in units {
        if highest < scale * 1000.0 {
            break;
        }
        (name, scale) = (larger, scale * 1000.0);
    }
    (name, scale)
}

/// The value that only `share` of all are above: a few that stick out do not make all others flat.
pub fn usual_height(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * (1.0 - share)).floor() as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        for (highest, lines, labels) in [
            (93.0, 3, &["0", "50", "100"][..]),
            (0.27, 3, &["0.0", "0.1", "0.2"]),
            (41.0, 3, &["0", "20", "40"]),
            (1000.0, 4, &["0", "500", "1000"]),
            (0.0, 2, &["0.0", "0.5", "1.0"]),
            (f64::NAN, 2, &["0.0", "0.5", "1.0"]),
        ] {
            let axis = Axis::up_to(highest, lines);
            assert_eq!(axis.lines().map(|value| axis.label(value)).collect::<Vec<_>>(), labels, "{highest}");
        }
    }

    #[test]
    fn units_suit_what_is_shown() {
        let units = ["B", "kB", "MB"];
        let found = [900.0, 64_000.0, 5e6, 5e9].map(|highest| unit(highest, &units));
        assert_eq!(found, [("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("MB", 1e6)]);
    }

    #[test]
    fn what_sticks_out_does_not_count() {
        let values = || (1..=100).map(f64::from).chain([1e9]);
        assert_eq!(usual_height(values(), 0.02), 99.0);
        assert_eq!(usual_height(values(), 0.0), 1e9);
        assert_eq!(usual_height([].into_iter(), 0.02), 0.0);
    }
}
