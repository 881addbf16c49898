"""The processes of one run, started by Fabric, torchrun or SLURM, and what they have to agree on."""

import atexit
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.training.config import RunSection

# One process looks at whole volumes while the others wait.
_PATIENCE = timedelta(hours=12)


def start_processes(run: RunSection) -> Fabric:
    """Fabric with `devices` processes on each of `nodes` machines, all of them running.

    Raises `InputError` where a launcher has started another number of processes, or the hardware is not there.
    """
    wanted, started = run.devices * run.nodes, _started()
    if started is not None and started != wanted:
        raise InputError(
            f"{started} processes were started, but the training configuration has run.devices = {run.devices} and "
            f"run.nodes = {run.nodes}. Their product must be the number of processes."
        )
    try:
        fabric = Fabric(
            accelerator=run.accelerator,
            devices=run.devices,
            num_nodes=run.nodes,
            strategy=_strategy(run),
            precision=_precision(run),
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"Training configuration: run.accelerator = '{run.accelerator}' with run.devices = {run.devices} is not "
            f"to be had here ({error})."
        ) from error
    fabric.launch()
    # Fabric does so for NCCL alone; a process that ends with gloo's threads running is now and then aborted.
    atexit.register(_part)
    return fabric


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this is the process that speaks for all of them."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def first_problem(fabric: Fabric, problem: str | None) -> str | None:
    """The problem of the first process that has one, told to all of them."""
    if fabric.world_size == 1 or not any(greatest(fabric, float(problem is not None))):
        return problem
    problems: list[str | None] = [None] * fabric.world_size
    torch.distributed.all_gather_object(problems, problem)
    return next(told for told in problems if told is not None)


def greatest(fabric: Fabric, *values: float) -> tuple[float, ...]:
    """The greatest of each value over all processes."""
    if fabric.world_size == 1:
        return values
    return tuple(_reduced(fabric, values, "max"))


def mean(fabric: Fabric, values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each value over all processes, which must all give the same names."""
    if fabric.world_size == 1:
        return dict(values)
    return dict(zip(values, _reduced(fabric, tuple(values.values()), "mean"), strict=True))


def _reduced(fabric: Fabric, values: tuple[float, ...], operation: str) -> list[float]:
    tensor = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    reduced: list[float] = cast(Tensor, fabric.all_reduce(tensor, reduce_op=operation)).tolist()
    return reduced


def _precision(run: RunSection) -> Literal["32-true", "bf16-mixed"]:
    """What the run asks for, or what the hardware is fast at."""
    if run.precision != "auto":
        return run.precision
    on_device = run.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
    return "bf16-mixed" if on_device or torch.cpu._is_amx_tile_supported() else "32-true"


def _strategy(run: RunSection) -> Strategy | str:
    if run.strategy == "auto" and run.devices * run.nodes == 1:
        return "auto"
    # An item without clicks, or a term of the loss that has not begun, leaves some weights out of a step.
    return DDPStrategy(find_unused_parameters=True, timeout=_PATIENCE)


def _started() -> int | None:
    """How many processes torchrun or SLURM has started, None where neither has."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    if SLURMEnvironment.detect():
        return int(os.environ["SLURM_NTASKS"])
    return None
