//! A plot of ratios: bars on a logarithmic scale, to the right of 1 what is faster, to the left what is slower.

/// A row of the plot.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it is.
    pub name: String,
    /// The row's name, which a reader sees who points at it.
    pub id: String,
    /// Times as fast.
    pub ratio: f64,
    /// Whether nothing disturbed it.
    pub is_sure: bool,
}

/// Where the scale ends; what is beyond is cut off there.
const MOST: f64 = 16.0;
const WIDTH: f64 = 760.0;
const NAMES: f64 = 270.0;
const LINE: f64 = 18.0;
const TOP: f64 = 46.0;

/// Where a ratio is.
fn place(ratio: f64) -> f64 {
    let room = WIDTH - NAMES - 60.0;
    let part = ratio.clamp(1.0 / MOST, MOST).log2() / MOST.log2();
    NAMES + 10.0 + room * (part + 1.0) / 2.0
}

/// A text as it may stand in XML.
fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The plot, as SVG.
pub fn ratios(title: &str, bars: &[Bar]) -> String {
    let height = TOP + LINE * bars.len() as f64 + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"Helvetica,Arial,sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"18\" font-size=\"14\">{}</text>\n",
        quoted(title)
    );
    for power in -4..=4 {
        let ratio = 2f64.powi(power);
        let x = place(ratio);
        let label = if power < 0 { format!("1/{}", 1.0 / ratio) } else { format!("{ratio}") };
        let colour = if power == 0 { "#333333" } else { "#dddddd" };
        svg += &format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height}\" stroke=\"{colour}\"/>\n"
        );
        svg += &format!(
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555555\">{label}</text>\n",
            TOP - 6.0
        );
    }
    for (n, bar) in bars.iter().enumerate() {
        let y = TOP + LINE * n as f64 + 4.0;
        let (one, end) = (place(1.0), place(bar.ratio));
        let (x, width) = (one.min(end), (one - end).abs());
        let colour = match (bar.ratio >= 1.0, bar.is_sure) {
            (_, false) => "#bbbbbb",
            (true, true) => "#5b9a48",
            (false, true) => "#c8643c",
        };
        let (name, id) = (quoted(&bar.name), quoted(&bar.id));
        let text = y + LINE / 2.0 + 2.0;
        svg += &format!("<g><title>{id}: {:.2}</title>", bar.ratio);
        svg += &format!("<text x=\"{NAMES}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>");
        svg += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            LINE - 6.0
        );
        svg += &format!(
            "<text x=\"{}\" y=\"{text:.1}\" text-anchor=\"end\">{:.2}</text></g>\n",
            WIDTH - 8.0,
            bar.ratio
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_is_to_the_right_and_nothing_leaves_the_picture() {
        assert!(place(2.0) > place(1.0) && place(0.5) < place(1.0));
        assert!(
            (place(2.0) - place(1.0) - (place(1.0) - place(0.5))).abs() < 1e-9,
            "as far as slower is to the left"
        );
        assert_eq!(place(1000.0), place(MOST));
        assert!(place(1e-9) > NAMES && place(1e9) < WIDTH);
    }

    #[test]
    fn names_are_quoted_and_each_bar_is_there() {
        let bar = |name: &str, ratio| Bar { name: name.into(), id: "r".into(), ratio, is_sure: true };
        let svg = ratios("a & b", &[bar("<x>", 2.0), bar("y", 0.5)]);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;x&gt;") && !svg.contains("<x>"));
        assert_eq!(svg.matches("<g>").count(), 2);
        assert!(svg.contains("#5b9a48") && svg.contains("#c8643c"));
    }
}
