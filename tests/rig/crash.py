"""A daemon that is killed while clients are at work."""

import threading
import time


def kill_amid(daemon, work, dice, clients=3):
    """Kills it at a random moment while `clients` threads run work(0), work(1), ..., and starts it again, with all kept."""
    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(dice.random() * 0.4)
    daemon.kill()
    for thread in threads:
        thread.join()
    daemon.start()
    assert "was refused" not in daemon.log()
