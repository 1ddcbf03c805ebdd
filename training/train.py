"""The training loop: batches in order, two optimizers, checkpoints that resume exactly.

Two processes with one thread each take half of every batch; the weights are in shared memory. Threads inside
each matrix product would wait for each other thousands of times per step, which halves the speed on a busy
machine. The two processes synchronise only twice per step. The schedule depends on steps, never on the clock.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing import get_context

from training.clips import BatchDataset
from training.memory import keep_freed_memory
from training.model import Learner

logger = logging.getLogger(__name__)

RANKS = 2
STEPS = 12_500
# (step, share of the full learning rates), with straight lines in between. The first 5,250 steps were a
# separate training on a shared machine; the bends are where longer plans were stopped. The rest is one
# constant part and one decrease, from the weights of that training; at step 9,500 the decrease was made
# steeper.
_RATE = (
    *((-1, 0.0), (199, 1.0), (1_300, 1.0)),
    *((1_750, 0.8636), (2_250, 0.5915), (2_500, 0.3717), (2_750, 0.2461), (3_000, 0.1969)),
    *((4_000, 0.0608), (4_040, 0.3), (4_500, 0.1305), (4_660, 0.02), (4_680, 0.18), (5_250, 0.01)),
    *((5_350, 0.5), (9_000, 0.5), (9_500, 0.4444), (STEPS, 0.0)),
)
_MATRIX_RATE = 2e-3  # 6e-3 from step 1,000 on cost 0.4 nats at once, which 75 steps did not regain
_OTHER_RATE = 1.5e-3
_CTC_WEIGHT = ((2_000, 0.5), (float("inf"), 0.2))  # up to this step
_GUIDANCE_WEIGHT = ((2_000, 0.3), (float("inf"), 0.1))
_CHECKPOINT_STEPS = 250
_REPORT_STEPS = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of one training."""

    steps: int
    folder: Path
    about: dict[str, Any]  # stored in the checkpoint


class Muon:
    """Momentum made orthogonal, for weight matrices (Jordan et al. 2024); matrices of equal shape in one
    product.

    Its step has the root mean square of AdamW's step (0.2), so one learning rate suits both.
    """

    def __init__(self, parameters: list[nn.Parameter], momentum: float = 0.95, decay: float = 0.05) -> None:
        self._groups: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in parameters:
            self._groups.setdefault(parameter.shape, []).append(parameter)
        self.buffers = [torch.zeros(len(group), *shape) for shape, group in self._groups.items()]
        self._momentum, self._decay = momentum, decay

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for buffer, (shape, group) in zip(self.buffers, self._groups.items(), strict=True):
            gradients = torch.stack([_gradient(parameter) for parameter in group])
            buffer.mul_(self._momentum).add_(gradients)
            update = _orthogonal(gradients.add(buffer, alpha=self._momentum))
            update *= rate * 0.2 * max(shape) ** 0.5
            for parameter, change in zip(group, update, strict=True):
                parameter.mul_(1 - rate * self._decay).sub_(change)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _orthogonal(matrices: Tensor) -> Tensor:
    """Approximately the nearest (semi-)orthogonal matrices: five Newton-Schulz steps with Muon's
    coefficients.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.transpose(1, 2) if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.transpose(1, 2) if tall else x).float()


@dataclass(frozen=True, slots=True)
class Shared:
    """The data that the processes share."""

    learner: Learner  # shared weights; each process has its own gradients
    gradients: Tensor  # (ranks, all parameters in a row)
    barrier: Any


class Trainer:
    """The work of one process: half of each batch, and the update of every second parameter."""

    def __init__(self, rank: int, plan: Plan, shared: Shared) -> None:
        self._rank, self._plan, self._shared = rank, plan, shared
        learner = shared.learner
        self._parameters = list(learner.parameters())
        layers = [*learner.whisper.encoder.parameters(), *learner.whisper.decoder.parameters()]
        matrices = [parameter for parameter in layers if parameter.ndim == 2]
        known = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in self._parameters if id(parameter) not in known]
        self._muon = Muon(matrices[rank::RANKS])
        self._adam = torch.optim.AdamW(
            others[rank::RANKS], lr=_OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.step = self._restore()

    def run(self, dataset: BatchDataset) -> None:
        """Train from the step of the checkpoint up to the planned step."""
        began, first, means = time.monotonic(), self.step, dict.fromkeys(("text", "ctc", "guide"), 0.0)
        while self.step < self._plan.steps:
            losses = self._learn(dataset.half(self.step, self._rank))
            share = max(0.03, 1 / (self.step - first + 1))
            for name, loss in zip(means, losses, strict=True):
                means[name] += share * (loss - means[name])
            self.step += 1
            if self.step % _REPORT_STEPS == 0 and self._rank == 0:
                report = " ".join(f"{name} {mean:.3f}" for name, mean in means.items())
                pace = (time.monotonic() - began) / (self.step - first)
                logger.info("step %d of %d: %s; %.2f s a step", self.step, self._plan.steps, report, pace)
            if self.step % _CHECKPOINT_STEPS == 0 or self.step == self._plan.steps:
                self._save()

    def _learn(self, batch: dict[str, Tensor]) -> tuple[float, float, float]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            text, ctc, guidance = self._shared.learner(batch)
        ctc_weight, guidance_weight = _at(_CTC_WEIGHT, self.step), _at(_GUIDANCE_WEIGHT, self.step)
        loss = (1 - ctc_weight) * text + ctc_weight * ctc + guidance_weight * guidance
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        self._exchange()
        norm = nn.utils.clip_grad_norm_(self._parameters, 1.0)
        if torch.isfinite(norm):
            scale = self._rate()
            self._muon.step(_MATRIX_RATE * scale)
            for group in self._adam.param_groups:
                group["lr"] = _OTHER_RATE * scale
            self._adam.step()
        else:
            logger.warning("step %d is skipped: its gradient is not finite", self.step)
        self._shared.barrier.wait()
        return text.item(), ctc.item(), guidance.item()

    @torch.no_grad()
    def _exchange(self) -> None:
        """Replace each gradient by its mean over the processes."""
        rows = self._shared.gradients
        torch.cat([_gradient(parameter).flatten() for parameter in self._parameters], out=rows[self._rank])
        self._shared.barrier.wait()
        pieces = rows.mean(0).split([parameter.numel() for parameter in self._parameters])
        for parameter, piece in zip(self._parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def _rate(self) -> float:
        steps, shares = zip(*_RATE, strict=True)
        return float(np.interp(self.step, steps, shares))

    def _path(self) -> Path:
        return self._plan.folder / ("checkpoint.pt" if self._rank == 0 else f"checkpoint.{self._rank}.pt")

    def _save(self) -> None:
        """Write this process's part; the part of the first process has the weights too."""
        state: dict[str, Any] = {
            "step": self.step,
            "adam": self._adam.state_dict(),
            "muon": self._muon.buffers,
        }
        if self._rank == 0:
            state |= {"learner": self._shared.learner.state_dict(), **self._plan.about}
        part = self._path().with_suffix(".part")
        torch.save(state, part)
        self._shared.barrier.wait()
        part.replace(self._path())
        self._shared.barrier.wait()

    def _restore(self) -> int:
        if not self._path().exists():
            return 0
        state = torch.load(self._path(), weights_only=True)
        if self._rank == 0:
            self._shared.learner.load_state_dict(state["learner"])
        self._adam.load_state_dict(state["adam"])
        for buffer, saved in zip(self._muon.buffers, state["muon"], strict=True):
            buffer.copy_(saved)
        logger.info("resumed at step %d", state["step"])
        return int(state["step"])


def _at(schedule: tuple[tuple[float, float], ...], step: int) -> float:
    return next(value for until, value in schedule if step < until)


def _work(rank: int, plan: Plan, shared: Shared, make_dataset: Callable[[], BatchDataset]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    keep_freed_memory()
    trainer = Trainer(rank, plan, shared)
    dataset = make_dataset()
    shared.barrier.wait()  # wait until the weights of the checkpoint are loaded
    trainer.run(dataset)


def train(learner: Learner, plan: Plan, make_dataset: Callable[[], BatchDataset]) -> None:
    """Train `learner` in `RANKS` processes; the checkpoint is written to the plan's folder."""
    context = get_context("spawn")
    learner.share_memory()
    count = sum(parameter.numel() for parameter in learner.parameters())
    shared = Shared(learner, torch.zeros(RANKS, count).share_memory_(), context.Barrier(RANKS))
    processes = [
        context.Process(target=_work, args=(rank, plan, shared, make_dataset)) for rank in range(RANKS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            for other in processes:
                other.terminate()
            raise RuntimeError(f"a training process ended with {process.exitcode}")
