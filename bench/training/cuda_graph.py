"""Training steps of several runs on one GPU, captured in one CUDA graph and replayed.

These networks are small and the paper's batch is 32. Where Python launches each operation of each
step (eager execution), the GPU waits for the CPU, and one run leaves most of it idle. In the graph
each run has a stream of its own, on which its arithmetic is that of the run alone.
"""

import contextlib
from collections.abc import Sequence

import torch

from bench.training.run_in_training import RunInTraining

# The first steps are eager, since libraries choose their kernels in them.
_WARM_UP_STEPS = 3


class GraphedRuns:
    """Runs at the same step on one GPU, with batches of one size, advanced together."""

    def __init__(
        self,
        members: Sequence[RunInTraining],
        images: torch.Tensor,
        streams: list[torch.cuda.Stream],
    ) -> None:
        """Take runs whose methods are ``graph_safe``; their step is captured after the warm-up.

        Every step reads the images, uint8 (train_images, channels, size, size), on the GPU. The
        streams are those that other groups use; as many as are missing are added.
        """
        self.members = tuple(members)
        self._images = images
        shape = (len(members), members[0].spec.batch_size)
        self._chosen = torch.zeros(shape, dtype=torch.int64, device=images.device)
        # Eager and captured steps of all groups share them, because libraries keep memory by
        # stream; that of the stream that is captured goes with its graph, so it is no branch.
        streams += [torch.cuda.Stream(images.device) for _ in range(len(streams), 1 + len(members))]
        self._main, *self._branches = streams[: 1 + len(members)]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager_steps = 0

    def advance(self) -> None:
        """Take one optimiser step with every run, each on its own batch."""
        choices = [member.next_batch(self._images.device) for member in self.members]
        whole = len(choices[0]) == self._chosen.shape[1]
        if not whole or self._eager_steps < _WARM_UP_STEPS:
            self._step_eagerly(choices)
            self._eager_steps += whole
            return
        torch.stack(choices, out=self._chosen)
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        for member in self.members:
            member.count()

    def _step_eagerly(self, choices: Sequence[torch.Tensor]) -> None:
        """Step one run after the other; if one fails, each is still at a step of its own."""
        # The images' GPU need not be the first one.
        current = torch.cuda.current_stream(self._images.device)
        self._main.wait_stream(current)
        for member, chosen, branch in zip(self.members, choices, self._branches, strict=True):
            branch.wait_stream(self._main)
            try:
                with torch.cuda.stream(branch):
                    member.step_eagerly(self._images, chosen)
            finally:
                current.wait_stream(branch)

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for member in self.members:
            graph.register_generator_state(member.noise)
        broken: BaseException | None = None
        try:
            with contextlib.ExitStack() as stack:
                # Adam refuses to be captured otherwise.
                for group in (each for run in self.members for each in run.optimizer.param_groups):
                    group["capturable"] = True
                    stack.callback(group.update, capturable=False)
                # Where ending the capture raises, PyTorch leaves its stream the current one.
                current = torch.cuda.current_stream(self._images.device)
                stack.enter_context(torch.cuda.stream(current))
                stack.enter_context(torch.cuda.graph(graph, stream=self._main))
                try:
                    self._take_steps()
                except BaseException as error:
                    broken = error
                    raise
        except BaseException as error:  # noqa: BLE001 - raised below
            # Ending a broken capture raises, too, and hides why it broke.
            broken = broken or error
        if broken is not None:
            raise broken
        return graph

    def _take_steps(self) -> None:
        for branch in self._branches:
            branch.wait_stream(self._main)
        try:
            for member, chosen, branch in zip(
                self.members, self._chosen, self._branches, strict=True
            ):
                with torch.cuda.stream(branch):
                    member.take_step(self._images, chosen)
        finally:
            for branch in self._branches:
                self._main.wait_stream(branch)
