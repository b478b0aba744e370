"""Which runs take steps together on a device, and how the others go on where one fails."""

import traceback
from collections.abc import Sequence

import torch

from bench.device import is_out_of_memory, raise_unless_of_run, use_threads
from bench.training.cuda_graph import GraphedRuns
from bench.training.run_in_training import RunInTraining


class SideBySide:
    """Runs that share a device: on a GPU as many together as its memory takes, else in turns.

    Attributes:
        failures: the runs that failed, each with what was raised.
    """

    def __init__(self, runs: Sequence[RunInTraining], images: torch.Tensor) -> None:
        """Take runs that share the images, as :func:`bench.training.loop.train` has them."""
        self.failures: dict[RunInTraining, BaseException] = {}
        self._runs, self._images = runs, images
        # As many as are known to fit.
        self._most = len(runs)
        self._graphs: dict[tuple[RunInTraining, ...], GraphedRuns] = {}
        self._streams: list[torch.cuda.Stream] = []

    def unfinished(self) -> list[RunInTraining]:
        """The runs that have steps left and have not failed."""
        return [r for r in self._runs if r not in self.failures and r.step < r.spec.steps]

    def furthest_behind(self) -> tuple[RunInTraining, ...]:
        """The runs at the lowest step that can share a CUDA graph, or one run where none can.

        Runs that wait for those behind them meet at one step, and stay together from there on.
        """
        active = self.unfinished()
        first = min(active, key=lambda run: run.step)
        if not _graph_safe(first, self._images):
            return (first,)
        alike = [r for r in active if r.step == first.step and _graph_safe(r, self._images)]
        return tuple(alike[: self._most])

    def advance(self, members: tuple[RunInTraining, ...], due: int) -> None:
        """Train runs that are at the same step up to a later one.

        Where they fail together, half of them go on: half need less memory, and smaller groups show
        which run it is. Once a run has failed alone, all others go on together again.

        Raises:
            UsageError: the device lacks the precision.
            BenchError: the device failed.
        """
        try:
            self._advance(members, due)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the other runs go on
            raise_unless_of_run(error, f"training {members[0].spec.name}")
            others = self._graphs.keys() - {members}
            self._free_graphs(error)
            # One that trains alone lacks what graphs of others hold.
            if len(members) > 1 or (others and is_out_of_memory(error)):
                self._most = len(members) // 2 or self._most
            else:
                self.failures[members[0]] = error
                self._most = len(self._runs)

    def record_spectrum(self, run: RunInTraining, test_images: torch.Tensor) -> None:
        """Record a run's spectrum, without the graphs, which are captured anew, if memory is short.

        A method's own error may have the same type, and then comes again.
        """
        try:
            run.record_spectrum(test_images, self._images)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._free_graphs(error)
            run.record_spectrum(test_images, self._images)

    def _advance(self, members: tuple[RunInTraining, ...], due: int) -> None:
        if not _graph_safe(members[0], self._images):
            (alone,) = members
            if alone.threads and alone.threads != torch.get_num_threads():
                use_threads(alone.threads)
            while alone.step < due:
                alone.advance(self._images)
        else:
            if members not in self._graphs:
                for others in [each for each in self._graphs if not set(each).isdisjoint(members)]:
                    del self._graphs[others]
                self._graphs[members] = GraphedRuns(members, self._images, self._streams)
            while members[0].step < due:
                self._graphs[members].advance()
        # The device may still be computing; reading a number waits for it.
        members[-1].loss.item()
        for run in members:
            run.side_by_side = max(run.side_by_side, len(members))

    def _free_graphs(self, error: BaseException) -> None:
        # What the step has computed so far hangs on the error.
        traceback.clear_frames(error.__traceback__)
        self._graphs.clear()


def _graph_safe(run: RunInTraining, images: torch.Tensor) -> bool:
    """Whether a step of a run can be captured in a CUDA graph: all that it reads is on the GPU."""
    return run.method.graph_safe and images.device.type == run.device.type == "cuda"
