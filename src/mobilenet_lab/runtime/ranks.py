"""Communication between the ranks of a run."""

import os

import torch
from torch import distributed

SYNC_EVERY_N_BATCHES = 10  # how often ranks tell each other whether to stop or to save


def rendezvous_after_restart(device: torch.device) -> None:
    """Connect the ranks that torchrun has restarted on this machine.

    torchrun keeps one store for all attempts, so a restarted rank might find the addresses of the previous
    attempt. The keys of each attempt get a prefix of their own. Ranks on several machines are left to
    Lightning, because the machines may count attempts differently.

    Args:
        device: The device this rank trains on.
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
