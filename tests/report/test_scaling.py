"""Scaling as SVG: points are where their sizes and losses say."""

import re
from xml.etree import ElementTree

from s2s.report.plots import WIDTH
from s2s.report.scaling import HEIGHT, LEFT, RIGHT, TOP, ScalingPanel, ScalingPoint, svg_scaling

PANEL = ScalingPanel(
    "loss by parameters",
    "parameters",
    {
        "measured": [ScalingPoint("small <b>", 60_000, 1.0), ScalingPoint("middle", 600_000, 0.5)],
        "predicted": [ScalingPoint("large", 6_000_000, 0.4, (0.35, 0.45))],
    },
    {"entropy": 0.3},
)


def test_points_are_in_order_on_a_logarithmic_axis() -> None:
    root = ElementTree.fromstring(svg_scaling([PANEL]))
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    small, middle, large = ((float(one.attrib["cx"]), float(one.attrib["cy"])) for one in circles)
    assert middle[0] - small[0] == large[0] - middle[0] > 200
    assert small[0] > LEFT
    assert large[0] < WIDTH - RIGHT
    assert TOP <= small[1] < middle[1] < large[1] < TOP + HEIGHT
    assert (middle[1] - small[1]) / (large[1] - middle[1]) == 5
    assert [one[0].text for one in circles] == [
        "small <b>: 1.0000",
        "middle: 0.5000",
        "large: 0.4000 (0.3500 to 0.4500)",
    ]


def test_axes_are_labelled_and_series_named() -> None:
    drawn = svg_scaling([PANEL, PANEL])
    assert drawn.count(">1M</text>") == drawn.count(">500k</text>") == 2
    assert drawn.count(">measured</text>") == 1
    assert drawn.count("entropy 0.300") == 2
    assert set(re.findall(r">(0\.\d)</text>", drawn)) == {"0.2", "0.4", "0.6", "0.8"}
