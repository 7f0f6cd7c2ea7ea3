"""The picture of the demonstration: its networks' accuracy after every time step."""

from __future__ import annotations

from pathlib import Path

from paper.chart import Axis, Curve, chart, on_white
from spikewright.measure import TrajectoryPoint
from spikewright.report.results import read_run

PICTURE = Path("docs/demo.svg")
_COLOURS = {
    "IF": "#b8501c",
    "shuffled IF": "#96700a",
    "TPP": "#8a3d97",
    "nearest": "#1b62b5",
    "tracer": "#3f7f2f",
}


def demo_chart(folder: Path) -> str:
    """The picture as SVG on white ground.

    Args:
        folder: what `spikewright demo --output` wrote.

    Raises:
        RunError: where it is no such folder.
    """
    study = read_run(folder).report.studies[0]
    measured = study.trajectories
    assert measured is not None
    assert measured.accuracy is not None
    curves = [
        Curve(name, _points(measured.of(name)), colour, width=2.4 if name == "tracer" else 1.8)
        for name, colour in _COLOURS.items()
    ]
    ends = [point[0] for curve in curves for point in (curve.points[0], curve.points[-1])]
    ann = Curve(
        "ANN", tuple((t, 100 * measured.accuracy) for t in (min(ends), max(ends))), "#50607a", "--"
    )
    picture = chart(
        Axis("time steps since the first input", (1, 2, 4, 8, 16, 32, 64, 128, 256), base=2),
        Axis("accuracy (%)", (0, 20, 40, 60, 80, 100)),
        [ann, *curves],
    )
    return on_white(picture, "Accuracy of the demonstration's networks after every time step")


def _points(points: tuple[TrajectoryPoint, ...]) -> tuple[tuple[float, float], ...]:
    return tuple((p.time, 100 * p.accuracy) for p in points)
