"""A DPDK application as a vhost-user container: dpdk-testpmd with a virtio-user front-end, without huge pages."""

import os
import subprocess

from rig.process import Process


class DpdkApp(Process):
    """Forwards in `mode` (icmpecho: answers ARP for every address and ping; macswap, io, ...) on core 0."""

    def __init__(self, socket, mac, mode="icmpecho", queues=1, vdev=""):
        super().__init__([
            "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
            "--file-prefix", f"sl{os.getpid()}-{mac[-2:]}",
            "--vdev", f"net_virtio_user0,mac={mac},path={socket},queues={queues},queue_size=256{vdev}",
            "--", "--forward-mode", mode, "--total-num-mbufs", "2048", "--no-lsc-interrupt", "--auto-start",
            f"--rxq={queues}", f"--txq={queues}"],
            stdin=subprocess.PIPE)  # it ends when its input does

    def close(self):
        self.stdin.close()
        self.stop()
        print(f"--- dpdk-testpmd ---\n{self.output()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
