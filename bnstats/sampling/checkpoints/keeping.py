"""What is kept of a run, opened once it is known how the run is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bnstats.sampling.checkpoints.document import RunMoments
from bnstats.sampling.checkpoints.folder import Checkpoint
from bnstats.sampling.checkpoints.identity import identity
from bnstats.sampling.kept import Both, Kept, Subtrees
from bnstats.sampling.layout import Layout
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec


class Keeping:
    """The way from a run to its checkpoint, and of a part of a run to its moments.

    Parameters
    ----------
    spec, sampling
        What is drawn, and how; this names the folder, if there is one.
    part
        Which part of how many is drawn; None for the whole.
    tell
        Called with what a user should hear.

    Attributes
    ----------
    device
        Name of what computed, once the run has begun.
    warnings
        What the run had to do otherwise than was asked for.
    """

    def __init__(
        self,
        spec: Spec,
        sampling: Sampling,
        part: tuple[int, int] | None,
        tell: Callable[[str], None],
    ) -> None:
        self._spec, self._sampling, self._part, self._tell = spec, sampling, part, tell
        self.device = "cpu"
        self.warnings: Sequence[str] = ()

    def __call__(self, layout: Layout, device: str) -> Kept:
        """Return what is known of a run with this layout, and keeps what is drawn of it."""
        self.device, self._drawn = device, Subtrees(layout)
        folder, kept = self._sampling.checkpoint, Kept()
        if folder is not None:
            facts = identity(self._spec, self._sampling, layout, device)
            kept = Checkpoint(folder, facts, layout, self._part, self._tell)
        return kept if self._part is None else Both(kept, self._drawn)

    @property
    def moments(self) -> RunMoments:
        """The moments of the part, once it is drawn."""
        facts = identity(self._spec, self._sampling, self._drawn.layout, self.device)
        return RunMoments(facts, self._drawn, self._part)
