"""Names in the pictures of an evaluation cover nothing."""

from __future__ import annotations

from matplotlib.figure import Figure

from training.evaluation.charts import name_points


def test_names_cover_no_other_name_no_point_and_not_the_frame():
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    # a crowd of points in one place, and some that have room
    points = [
        (f"apportion share={number}", 1 + number / 50, 1 + (number * 7 % 10) / 30) for number in range(60)
    ]
    points += [("alone", 3.0, 2.0), ("at the right edge", 4.0, 1.5)]
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o")
    written = name_points(figure, axes, points)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in written]
    assert {label.get_text() for label in written} >= {"alone", "at the right edge"}
    assert 2 < len(written) < len(points)
    for place, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:place])
        assert not any(box.contains(*at) for at in axes.transData.transform([(x, y) for _, x, y in points]))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
