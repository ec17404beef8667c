"""Pictures that move: a notebook's sliders, and what they redraw.

    import hiermodels as hm
    hm.play.shrinkage()

The model of the widget is a pure function, `balanced.make_picture`, from settings to what is
drawn; here are the sliders and the axes. ipywidgets is optional: ``pip install
'hiermodels[widgets]'``.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.errors import NotAvailableError
from hiermodels.teaching.balanced import RANGES, Picture, Settings, make_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Settings", "ShrinkagePlay", "plot_shrinkage", "shrinkage"]

#: Seconds without a move after which the picture is redrawn.
PAUSE = 0.12
#: Colours that are told apart by everyone (Okabe & Ito 2008).
RAW, PARTIAL, TRUTH = "#E69F00", "#0072B2", "#000000"


def shrinkage(**settings: Any) -> ShrinkagePlay:
    """Sliders for prior scale, group size, group sd and number of groups; in a notebook.

    Left the groups: raw means drawn towards the mean of all, as partial pooling does. Right the
    sd between groups: its prior and its posterior. ``settings`` are those of
    `balanced.Settings` to begin with.

    Raises
    ------
    NotAvailableError
        ipywidgets is not installed.
    DataError
        A setting out of its range.
    """
    return ShrinkagePlay(Settings(**settings))


def import_widgets() -> Any:
    try:
        import ipywidgets
    except ImportError:
        raise NotAvailableError(
            "hm.play needs ipywidgets: pip install ipywidgets, or 'hiermodels[widgets]', and "
            "start the notebook again. Without it: hm.play.plot_shrinkage draws one picture."
        ) from None
    return ipywidgets


@dataclass(slots=True)
class Later:
    """Calls a function once its caller has been quiet for a while.

    Within a running event loop, as a notebook has; elsewhere at once.
    """

    function: Callable[[], None]
    seconds: float = PAUSE
    waiting: asyncio.TimerHandle | None = field(default=None, init=False)

    def __call__(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.function()
            return
        self.waiting = loop.call_later(self.seconds, self.now)

    def now(self) -> None:
        self.waiting = None
        self.function()


class ShrinkagePlay:
    """The widget: sliders by the name of their setting, and the picture. Made by `shrinkage`."""

    def __init__(self, settings: Settings) -> None:
        widgets = import_widgets()
        self.settings = settings
        self.sliders: dict[str, Any] = {}
        for name, allowed in RANGES.items():
            whole = allowed.step == 1
            slider = (widgets.IntSlider if whole else widgets.FloatSlider)(
                value=getattr(settings, name),
                min=int(allowed.low) if whole else allowed.low,
                max=int(allowed.high) if whole else allowed.high,
                step=int(allowed.step) if whole else allowed.step,
                description=allowed.label,
            )
            slider.observe(self._moved, names="value")
            self.sliders[name] = slider
        self.again = widgets.Button(description="other data")
        self.again.on_click(self._other_data)
        self.image = widgets.Image(format="png")
        self.picture = make_picture(settings)
        self._later = Later(self.redraw)
        controls = widgets.VBox([*self.sliders.values(), self.again])
        self.widget = widgets.VBox([controls, self.image])
        self.redraw()

    def _moved(self, change: Any) -> None:
        self.settings = replace(
            self.settings, **{name: slider.value for name, slider in self.sliders.items()}
        )
        self._later()

    def _other_data(self, button: Any) -> None:
        self.settings = replace(self.settings, random_seed=self.settings.random_seed + 1)
        self._later()

    def redraw(self) -> None:
        """Make the picture of the present settings and show it."""
        self.picture = make_picture(self.settings)
        self.image.value = as_png(self.picture)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)


def as_png(picture: Picture) -> bytes:
    """The picture as a file, drawn without pyplot, which a server may share among threads."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    plot_shrinkage(picture, axes=figure.subplots(1, 2, width_ratios=(3, 2)))
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def plot_shrinkage(
    picture: Picture | Settings, *, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Groups on their way to the mean of all (left), prior and posterior of their sd (right)."""
    shown = make_picture(picture) if isinstance(picture, Settings) else picture
    if axes is None:
        from matplotlib import pyplot as plt

        _, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=(3, 2))
    draw_groups(shown, axes[0])
    draw_sd(shown, axes[1])
    return axes


def draw_groups(picture: Picture, ax: Axes) -> None:
    """Raw mean, partial pooling with its interval, and the truth, of each group by its raw mean."""
    order = np.argsort(picture.raw)
    at = np.arange(len(order))
    raw, partial = picture.raw[order], picture.partial[order]
    ax.axhline(picture.pooled, color="0.4", linestyle="--", linewidth=1, label="mean of all")
    ax.vlines(
        at, picture.lower[order], picture.upper[order], color=PARTIAL, alpha=0.35, linewidth=4
    )
    ax.vlines(at, raw, partial, color="0.3", linewidth=1)
    ax.plot(at, raw, "D", color=RAW, markersize=6, label="group alone", linestyle="none")
    ax.plot(at, partial, "o", color=PARTIAL, markersize=5, label="partially pooled, 95 %")
    ax.plot(at, picture.truth[order], "_", color=TRUTH, markersize=10, label="truth")
    extent = np.concatenate([raw, picture.lower, picture.upper, picture.truth])
    space = 0.28 * np.ptp(extent)  # for the legend, above every group
    ax.set_ylim(extent.min() - 0.05 * np.ptp(extent), extent.max() + space)
    ax.set_xticks([])
    ax.set_xlabel("groups, by their own mean")
    ax.set_ylabel("mean of the group (residual sds)")
    away = 100 * (1 - picture.reliability)
    ax.set_title(f"Shrunk by {away:.0f} % of the way", fontsize=11)
    ax.legend(loc="upper center", ncols=2, fontsize=8, frameon=False)


def draw_sd(picture: Picture, ax: Axes) -> None:
    """Prior and posterior density of the sd between groups, and the true one."""
    low, median, high = picture.sd_points
    end = 1.15 * max(high, picture.settings.group_sd, 2 * median, 0.5)
    shown = picture.sd <= end
    sd = picture.sd[shown]
    ax.fill_between(sd, picture.posterior[shown], color=PARTIAL, alpha=0.3)
    ax.plot(sd, picture.posterior[shown], color=PARTIAL, label="posterior")
    ax.plot(sd, picture.prior[shown], color="0.3", linestyle="--", label="prior")
    ax.axvline(picture.settings.group_sd, color=TRUTH, linewidth=1.2, label="truth")
    ax.set_xlim(0, end)
    ax.set_ylim(0, 1.25 * max(picture.posterior[shown].max(), picture.prior[shown].max()))
    ax.set_yticks([])
    ax.set_xlabel("sd between groups (residual sds)")
    ax.set_title(f"sd {median:.2f} [{low:.2f}, {high:.2f}]", fontsize=11)
    ax.legend(loc="upper right", fontsize=8, edgecolor="none", framealpha=0.9)
