"""The two checkpoints of a run: the last, to go on from, and the best, to use."""

import os

import torch
from torch import distributed

ASK_EVERY_N_BATCHES = 10  # how often several ranks ask each other what to do


def rendezvous_after_restart(device: torch.device) -> None:
    """Let the ranks that torchrun has started again on this machine find each other.

    torchrun keeps one store over all its attempts, and a rank might find the addresses of the attempt before
    there. Ranks on several machines are left to Lightning, as the machines may count attempts differently.

    Args:
        device: Where this rank trains.
    """
    environment = os.environ
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or distributed.is_initialized():
        return
    world_size = int(environment["WORLD_SIZE"])
    if world_size == 1 or world_size != int(environment["LOCAL_WORLD_SIZE"]):
        return
    attempt = environment["TORCHELASTIC_RESTART_COUNT"]
    address, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    store = distributed.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
    distributed.init_process_group(
        distributed.get_default_backend_for_device(device),
        store=distributed.PrefixStore(f"attempt {attempt}", store),  # type: ignore[attr-defined]
        rank=int(environment["RANK"]),
        world_size=world_size,
    )
