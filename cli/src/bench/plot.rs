//! Plots of bandwidth and time against size, one panel for each kind of copy.

use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::report::{Report, bytes};

/// Ids of the copies, in the order of the panels.
const COPIES: [&str; 4] = ["h2d_pageable", "h2d_pinned", "d2h_pageable", "d2h_pinned"];
const SIZE: (u32, u32) = (1280, 900);
/// Told apart by people with any kind of colour vision (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

/// What a plot shows of a copy.
struct Quantity {
    file: &'static str,
    axis: &'static str,
    of: fn(bytes: f64, gigabytes_per_second: f64) -> f64,
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        file: "bandwidth.svg",
        axis: "GB/s",
        of: |_, rate| rate,
    },
    Quantity {
        file: "time.svg",
        axis: "µs",
        of: |bytes, rate| bytes / rate / 1e3,
    },
];

/// Draws everything into a directory, and says which files.
pub(super) fn draw(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut files = Vec::new();
    for quantity in &QUANTITIES {
        let file = directory.join(quantity.file);
        plot(report, quantity, &file).map_err(|e| format!("{}: {e}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

/// A subject's points for one kind of copy: size and value.
fn points(report: &Report, quantity: &Quantity, id: &str, subject: usize) -> Vec<(f64, f64)> {
    report
        .rows
        .iter()
        .filter(|row| row.id == id)
        .filter_map(|row| {
            let size = row.size? as f64;
            let rate = row.median(subject).filter(|rate| *rate > 0.0)?;
            Some((size, (quantity.of)(size, rate)))
        })
        .collect()
}

fn plot(
    report: &Report,
    quantity: &Quantity,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (panel, id) in root.split_evenly((2, 2)).iter().zip(COPIES) {
        let series: Vec<Vec<(f64, f64)>> = (0..report.subjects.len())
            .map(|subject| points(report, quantity, id, subject))
            .collect();
        let all = || series.iter().flatten();
        let Some(what) = report.rows.iter().find(|row| row.id == id) else {
            continue;
        };
        // The same decades on both ends as the data has.
        let range = |pick: fn(&(f64, f64)) -> f64| {
            let low = all().map(pick).fold(f64::INFINITY, f64::min);
            let high = all().map(pick).fold(0.0, f64::max);
            (low > 0.0 && low.is_finite()).then_some(low * 0.8..high * 1.25)
        };
        let (Some(x), Some(y)) = (range(|p| p.0), range(|p| p.1)) else {
            continue;
        };
        let mut chart = ChartBuilder::on(panel)
            .caption(&what.what, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(x.log_scale().base(4.0), y.log_scale())?;
        chart
            .configure_mesh()
            .x_desc("size")
            .y_desc(quantity.axis)
            .x_label_formatter(&|size| bytes(size.round() as u64))
            .y_label_formatter(&|value| label(*value))
            .light_line_style(WHITE)
            .draw()?;
        for ((subject, name), points) in report.subjects.iter().enumerate().zip(&series) {
            let colour = COLOURS[subject % COLOURS.len()];
            chart
                .draw_series(LineSeries::new(
                    points.iter().copied(),
                    colour.stroke_width(2),
                ))?
                .label(name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2))
                });
            chart.draw_series(
                points
                    .iter()
                    .map(|point| Circle::new(*point, 3, colour.filled())),
            )?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

fn label(value: f64) -> String {
    if value >= 1.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_panel_and_every_subject() {
        let mut report = Report::new(vec!["native".into(), "tcp".into()]);
        for (subject, rate) in [(0, 50.0), (1, 4.0)] {
            for id in COPIES {
                for size in [4096u64, 65536, 1 << 30] {
                    let line = json!({"id": id, "what": format!("title of {id}"), "unit": "GB/s", "more_is_better": true, "size": size, "value": rate});
                    report.take(subject, &line.to_string()).expect("a figure");
                }
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        for file in draw(&report, directory.path()).expect("it is drawn") {
            let svg = std::fs::read_to_string(file).expect("a file");
            for id in COPIES {
                assert!(svg.contains(&format!("title of {id}")), "{id}");
            }
            assert!(svg.contains("1 GiB") || svg.contains("256 MiB"), "{svg}");
            assert_eq!(svg.matches("<circle").count(), COPIES.len() * 2 * 3);
        }
    }

    #[test]
    fn nothing_to_draw() {
        let directory = tempfile::tempdir().expect("a directory");
        let report = Report::new(vec!["tcp".into()]);
        assert_eq!(draw(&report, directory.path()).map(|f| f.len()), Ok(2));
    }
}
